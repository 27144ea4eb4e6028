"""Who asks: shoppers with one key each, impatient and often twice; and a shop that gives slots back."""

from functools import cache, lru_cache

from shared.domain.code import Code
from shared.domain.ids import ClaimId, DoorId, UserId, claim_id
from shared.domain.operations import SubmitClaim, body_hash
from shared.domain.outcomes import Outcome, Refused
from shared.domain.redemption import Redemption
from tests.simulation import office
from tests.simulation.checks import Checks
from tests.simulation.door import Door
from tests.simulation.tables import Campaign
from tests.simulation.world import Host, Process, Task, World

#: How long at most until somebody who has heard nothing asks again.
_ASK_AGAIN_S = 2.0

#: Until when a slot that is given back is so; most are at once.
_LATER_S = 3.0


class People:
    """Everybody outside. `unanswered`: how many have not been told what they came for."""

    def __init__(self, world: World, doors: list[Door], checks: Checks) -> None:
        self._world, self._doors, self._checks = world, doors, checks
        self._outside = Host("outside")
        self.unanswered = 0
        self.claims = 0

    def come(self, campaign: Campaign, user: str, key: str, after: float, *, calm: bool = False) -> list[Outcome]:
        """Let somebody claim a slot; calm people are content with their first answer. The answers, as they come."""
        claim = claim_of(campaign, user, key)
        heard: list[Outcome] = []
        self.unanswered += 1
        self.claims += 1
        self._world.start(self._outside, self._shop(claim, heard, calm), after)
        return heard

    def _shop(self, claim: SubmitClaim, heard: list[Outcome], calm: bool) -> Process[None]:
        yield from self._insist(claim, heard)
        if not calm:
            yield from self._come_back(claim, heard)
        self.unanswered -= 1

    def _come_back(self, claim: SubmitClaim, heard: list[Outcome]) -> Process[None]:
        """Try again after a refusal, or ask once more for what was won; and some give it back."""
        chance = self._world.chance.random
        refused = isinstance(heard[-1], Refused)
        if not refused and chance() < 0.3:
            self._give_back(heard[-1])
        if chance() < (0.25 if refused else 0.4):
            yield 0.5 * chance()
            yield from self._ask(claim, heard)

    def _insist(self, claim: SubmitClaim, heard: list[Outcome]) -> Process[None]:
        wait_s = self._world.pick((0.0, 1.5))
        while not heard:
            yield from self._ask(claim, heard, wait_s)
            wait_s = 1.5
            if not heard:
                yield 0.2 + 0.8 * self._world.chance.random()

    def _ask(self, claim: SubmitClaim, heard: list[Outcome], wait_s: float = 1.5) -> Process[None]:
        """Ask at some door, now and then at two, and wait for an answer, or until it takes too long."""
        world = self._world
        caller, before = world.running, len(heard)
        for _ in range(2 if world.loss and world.chance.random() < 0.2 else 1):
            if not world.loss or world.chance.random() >= world.loss:
                door = world.pick(self._doors)
                world.start(door, self._at(door, claim, wait_s, caller, heard), world.travel())
        yield _ASK_AGAIN_S if len(heard) == before else 0.0

    def _at(self, door: Door, claim: SubmitClaim, wait_s: float, caller: Task | None, heard: list[Outcome]) -> Process[None]:
        world, asked_at = self._world, self._world.now
        if not door.up:
            return
        answer = yield from door.redeem(claim, wait_s)
        self._checks.answered(claim, answer, asked_at)
        if world.traced:
            world.tell(f"{door.name} tells {claim.user_id}/{claim.idempotency_key} {_short(answer)}")
        yield world.travel()
        if caller is None or (world.loss and world.chance.random() < world.loss):
            return
        if answer is not None:
            self._checks.heard(claim, answer)
            heard.append(answer)
        world.wake(caller)

    def _give_back(self, won: Outcome) -> None:
        if not isinstance(won, Refused):
            self.unanswered += 1
            self._world.start(self._outside, self._releasing(won.redemption), _LATER_S * self._world.chance.random() ** 3)

    def _releasing(self, won: Redemption) -> Process[None]:
        """A shop insists, too."""
        while not (yield from office.release(self._world.pick(self._doors), won)):
            yield 0.2
        self.unanswered -= 1


def claim_of(campaign: Campaign, user: str, key: str) -> SubmitClaim:
    name, code = UserId(user), campaign.code
    return SubmitClaim(
        claim_id=_claim_id(name, key),
        campaign_id=campaign.campaign_id,
        slice_no=campaign.part_for(name).slice_no,
        user_id=name,
        code=code,
        order_id="order",
        subtotal=None,
        idempotency_key=key,
        body_hash=_body_hash(code),
        door=DoorId(""),
    )


@lru_cache(4096)
def _claim_id(user: UserId, key: str) -> ClaimId:
    return claim_id(user, key)


@cache
def _body_hash(code: Code) -> bytes:
    return body_hash(code, "order", None)


def _short(answer: Outcome | None) -> str:
    return "nothing" if answer is None else str(getattr(answer, "reason", type(answer).__name__.lower()))
