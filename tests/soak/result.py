"""What came of a run."""

import msgspec


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one run. `takeover_s`: from an owner's loss to the next commit in each of its partitions; `recovery_s`: from
    the end of any other fault to the next commit. `wrong`: what else must not be, in words. `missed`: the burst was over before
    what was to happen had happened."""

    scenario: str
    seed: int
    acked: int = 0
    lost: int = 0
    over: int = 0
    double: int = 0
    under: int = 0
    takeover_s: list[float] = []
    recovery_s: list[float] = []
    seconds: float = 0.0
    wrong: list[str] = []
    missed: bool = False

    @property
    def clean(self) -> bool:
        return not (self.lost or self.over or self.double or self.under or self.wrong)
