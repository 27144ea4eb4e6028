"""Mistakes of a front door."""

from tests.mutants.mutant import Edit, Mutant

DOOR = (
    Mutant(
        "ack-from-redis",
        "ack from Redis",
        (
            Edit(
                "frontdoor/course.py",
                "            case Verdict.ADMITTED:\n                self._await_outcome(submission)\n",
                "            case Verdict.ADMITTED:\n"
                "                from shared.domain import discount\n"
                "                from shared.domain.outcomes import Granted\n"
                "                from shared.domain.redemption import Redemption, State\n"
                "                claim, terms = submission.claim, submission.campaign\n"
                "                submission.resolve(Granted(Redemption(\n"
                "                    claim.claim_id, claim.campaign_id, claim.slice_no, 1, claim.code, claim.user_id, 1,\n"
                "                    terms.per_user_limit, claim.order_id, discount.apply(terms.discount, claim.subtotal),\n"
                "                    claim.idempotency_key, claim.body_hash, State.CLAIMED, clock.utc_now()\n"
                "                )))\n",
            ),
        ),
        "integration/test_desk.py::test_who_waits_longer_than_he_said_is_undecided",
    ),
    Mutant(
        "certificate-for-everybody",
        "certificate without the winners' set",
        (Edit("frontdoor/certificates.py", " or user_mark(user) in held.marks:", ":"),),
        "unit/frontdoor/test_certificates.py::test_everybody_but_the_holders_is_refused",
    ),
    Mutant(
        "certificate-of-half-the-marks",
        "certificate without the winners' set",
        (Edit("frontdoor/certificates.py", "        if held.known == reply.marks_total:", "        if True:"),),
        "unit/frontdoor/test_certificates.py::test_a_set_that_is_not_whole_refuses_nobody",
    ),
    Mutant(
        "certificate-from-when-it-came",
        "freed slot given out before the certificate ran out",
        (
            Edit(
                "frontdoor/certificates.py",
                "held.until = asked_at + CERTIFICATE_MS / 1000",
                "held.until = asked_at + 0.2 + CERTIFICATE_MS / 1000",
            ),
        ),
        "unit/frontdoor/test_certificates.py::test_a_certificate_ends_half_a_second_after_the_gate_was_asked",
    ),
    Mutant(
        "refusal-shared-with-who-came-later",
        "refusal after a success",
        (
            Edit(
                "frontdoor/submissions.py",
                "            case Refused() as refused if came_at < self.began_at:",
                "            case Refused() as refused:",
            ),
        ),
        "integration/test_desk.py::test_who_joins_a_refusal_that_is_on_its_way_is_shown_what_he_has_won_since",
    ),
)
