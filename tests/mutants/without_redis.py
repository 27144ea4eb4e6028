"""Mistakes that cost something while Redis is away, for all or for some."""

from tests.mutants.mutant import Edit, Mutant

WITHOUT_REDIS = (
    Mutant(
        "refused-by-a-gate-that-nobody-vouches-for",
        "refusal by a life that is over",
        (
            Edit(
                "shared/scripts/admit.lua",
                "return (held or not vouched) and LOOK_EXHAUSTED or EXHAUSTED",
                "return held and LOOK_EXHAUSTED or EXHAUSTED",
            ),
        ),
        "integration/test_direct.py::test_a_gate_of_a_life_that_is_over_refuses_nobody",
    ),
    Mutant(
        "decided-without-looking-at-the-life",
        "decided beside a living gate",
        (Edit("frontdoor/direct.py", "        if head.incarnation is not None:\n            raise _Alive\n", ""),),
        "integration/test_direct.py::test_a_life_that_begins_after_the_door_looked_is_seen_under_the_lock",
    ),
    Mutant(
        "life-ended-while-it-is-vouched-for",
        "decided beside a living gate",
        (Edit("claim_workers/vouching.py", "clock.monotonic() > self._answered_at + VOUCHED_S + HEARD_S", "True"),),
        "integration/test_vouching.py::test_a_life_is_ended_only_when_the_last_word_has_run_out_and_was_heard",
    ),
    Mutant(
        "life-of-another-ended-at-once",
        "decided beside a living gate",
        (Edit("shared/statements/end_life.sql", "(incarnation = $3 OR clock_timestamp() > life_until)", "true"),),
        "integration/test_vouching.py::test_a_successor_that_never_reached_redis_waits_for_what_the_last_owner_may_say",
    ),
    Mutant(
        "vouched-for-from-when-it-is-heard",
        "refusal by a life that is over",
        (Edit("shared/scripts/vouch.lua", "'vouched_until', ARGV[3])", "'vouched_until', milliseconds() + 1500)"),),
        "integration/test_vouching.py::test_a_word_that_a_frozen_redis_hears_late_extends_nothing",
    ),
)
