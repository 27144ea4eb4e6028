"""Mistakes of the gate, and of who tells it."""

from tests.mutants.mutant import Edit, Mutant

GATE = (
    Mutant(
        "mailbox-of-a-longest-length",
        "MAXLEN on the mailbox",
        (
            Edit("shared/scripts/admit.lua", "  if room <= 0 then return BUSY end\n", ""),
            Edit(
                "shared/scripts/admit.lua",
                "redis.call('XADD', KEYS[2], '*'",
                "redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[2], '*'",
            ),
        ),
        "integration/test_gate.py::test_a_full_mailbox_refuses_and_drops_nothing",
    ),
    Mutant(
        "mailbox-trimmed-by-length",
        "MAXLEN on the mailbox",
        (Edit("shared/scripts/settle.lua", "'XTRIM', KEYS[3], 'MINID', ARGV[4]", "'XTRIM', KEYS[3], 'MAXLEN', 0"),),
        "integration/test_settling.py::test_the_mailbox_is_not_trimmed_beyond_the_cursor",
    ),
    Mutant(
        "calls-sent-again",
        "retries on",
        (
            Edit("shared/redis_client.py", "Retry(NoBackoff(), 0)", "Retry(NoBackoff(), 10)"),
            Edit("shared/redis_client.py", "retry_on_timeout=False", "retry_on_timeout=True"),
            Edit("shared/redis_client.py", "asyncio.timeout(self.reply_within_s)", "asyncio.timeout(None)"),
        ),
        "integration/test_redis_client.py::test_a_call_whose_answer_is_lost_is_run_once",
    ),
    Mutant(
        "warm-before-it-is-whole",
        "rebuild while admitting",
        (
            Edit(
                "claim_workers/settling.py",
                '        await self._apply([cold], cursor, "wipe", seeding)\n',
                '        await self._apply([cold], cursor, "wipe", seeding)\n'
                '        await self._apply([cold], cursor, "seed", seeding)\n',
            ),
        ),
        "integration/test_settling.py::test_a_gate_is_cold_until_everybody_is_in_it",
    ),
    Mutant(
        "users-of-all-campaigns",
        "user key without campaign",
        (
            Edit("shared/keys.py", "users:{campaign.hex}", "users"),
            Edit("shared/keys.py", "marks:{campaign.hex}", "marks"),
        ),
        "integration/test_settling.py::test_what_a_user_holds_or_awaits_of_one_campaign_says_nothing_of_another",
    ),
    Mutant(
        "pending-in-all-campaigns",
        "user key without campaign",
        (Edit("shared/scripts/admit.lua", "c.id .. claim.user", "string.rep('0', 32) .. claim.user"),),
        "integration/test_settling.py::test_what_a_user_holds_or_awaits_of_one_campaign_says_nothing_of_another",
    ),
    Mutant(
        "settled-by-adding",
        "settle that adds",
        (
            Edit(
                "shared/scripts/settle.lua",
                "      redis.call('HSET', gate, 'seq', seq, 'free', free,",
                "      local before = number(redis.call('HGET', gate, 'free'))\n"
                "      if before and mode == 'move' then free = before - #said[1] end\n"
                "      redis.call('HSET', gate, 'seq', seq, 'free', free,",
            ),
        ),
        "integration/test_gate.py::test_settling_again_or_late_changes_nothing",
    ),
    Mutant(
        "settled-when-stale",
        "settle accepted when stale",
        (Edit("shared/scripts/settle.lua", "    if seq >= newest then\n", "    if true then\n"),),
        "integration/test_gate.py::test_settling_again_or_late_changes_nothing",
    ),
    Mutant(
        "users-set-when-stale",
        "settle accepted when stale",
        (Edit("shared/scripts/settle.lua", "if not held or seq >= known then", "if true then"),),
        "integration/test_gate.py::test_settling_again_or_late_changes_nothing",
    ),
    Mutant(
        "settled-by-who-has-an-heir",
        "settle accepted when stale",
        (Edit("shared/scripts/settle.lua", "  if tonumber(ARGV[2]) < epoch then return {'moved', ''} end\n", ""),),
        "integration/test_zombies.py::test_a_zombie_that_was_seeding_forgets_no_winner_of_its_heir",
    ),
    Mutant(
        "replay-behind-the-closed-gate",
        "window checked before replay",
        (
            Edit("shared/scripts/admit.lua", "  if pending[claim.id] then return PENDING end\n", ""),
            Edit(
                "shared/scripts/admit.lua",
                "  local has = held and",
                "  if pending[claim.id] then return PENDING end\n  local has = held and",
            ),
        ),
        "integration/test_gate.py::test_a_pending_claim_is_pending_also_when_the_campaign_has_been_closed_meanwhile",
    ),
    Mutant(
        "certified-while-pending",
        "certificate while claims are pending",
        (Edit("shared/scripts/admit.lua", "    if vouched and c.reserved == 0 and (c.shut", "    if vouched and (c.shut"),),
        "integration/test_gate.py::test_who_is_pending_forbids_a_certificate_also_of_a_gate_that_has_nothing_to_give",
    ),
    Mutant(
        "certified-by-a-gate-that-nobody-vouches-for",
        "certificate of a life that may be over",
        (
            Edit(
                "shared/scripts/admit.lua",
                "    if vouched and c.reserved == 0 and (c.shut",
                "    if c.reserved == 0 and (c.shut",
            ),
        ),
        "integration/test_gate.py::test_a_gate_for_which_nobody_vouches_certifies_nothing_and_has_its_refusals_looked_up",
    ),
    Mutant(
        "certified-without-the-marks",
        "certificate without the winners' set",
        (
            Edit(
                "shared/scripts/admit.lua",
                "certified, total = (c.shut or c.free <= 0) and 1 or 2, 4 * c.members",
                "certified = 1",
            ),
        ),
        "integration/test_desk.py::test_a_certificate_answers_everybody_but_who_holds_something",
    ),
    Mutant(
        "freed-too-soon",
        "freed slot given out before the certificate ran out",
        (Edit("shared/scripts/admit.lua", "  if now < c.held_until or ", "  if "),),
        "integration/test_gate.py::test_a_freed_slot_is_given_out_only_when_the_last_certificate_has_run_out",
    ),
    Mutant(
        "warm-too-soon",
        "freed slot given out before the certificate ran out",
        (Edit("shared/scripts/settle.lua", "  return from + tonumber(ARGV[5])\n", "  return from\n"),),
        "integration/test_certified.py::test_a_freed_slot_is_not_seeded_anew_while_a_certificate_of_the_life_before_is_good",
    ),
    Mutant(
        "whole-by-others",
        "a gate that forgot its winners is warm",
        (Edit("shared/scripts/settle.lua", "ours = ours and (at or filling) else", "ours = ours else"),),
        "integration/test_settling.py::test_a_gate_that_lost_its_winners_is_not_made_whole_by_as_many_others",
    ),
    Mutant(
        "seeded-without-the-first-page",
        "a gate that forgot its winners is warm",
        (
            Edit(
                "shared/scripts/settle.lua",
                "  local at, filling = standing(gate, users, marks)\n",
                "  local at, filling = standing(gate, users, marks)\n"
                "  if not at then filling = redis.call('HGET', gate, 'seeding') end\n",
            ),
        ),
        "integration/test_settling.py::test_winners_lost_while_a_gate_is_seeded_are_seeded_again",
    ),
    Mutant(
        "told-that-nothing-is-left-before-the-win",
        "a no to who has a claim in the mailbox",
        (
            Edit(
                "shared/scripts/admit.lua",
                "    if others > 0 then return WAIT end\n    return (held or not vouched) and LOOK_EX",
                "    return (held or not vouched) and LOOK_EX",
            ),
        ),
        "integration/test_desk.py::test_who_may_be_about_to_win_is_not_told_that_nothing_is_left",
    ),
    Mutant(
        "told-that-it-is-over-before-the-win",
        "a no to who has a claim in the mailbox",
        (
            Edit(
                "shared/scripts/admit.lua",
                "    if others > 0 then return WAIT end\n    return (held or not vouched) and LOOK_CL",
                "    return (held or not vouched) and LOOK_CL",
            ),
        ),
        "integration/test_desk.py::test_who_may_be_about_to_win_is_not_told_that_it_is_over",
    ),
    Mutant(
        "slot-kept-for-who-has-it",
        "a no to whom there is a slot for",
        (Edit("shared/scripts/admit.lua", "  if held and not claim.checked then return LOOK_ALREADY end\n", ""),),
        "integration/test_desk.py::test_a_winner_who_asks_again_keeps_no_slot_from_anybody",
    ),
)
