"""The mutants: every mistake that was seen to cost somebody a coupon, as this engine would make it.

What its source has no place for stands here as the nearest thing that it has: there is no outbox to be polled by a serial
number, but a log of codes that front doors read by position.
"""

from tests.mutants.mutant import Edit, Mutant

COMMITTING = (
    Mutant(
        "reply-whatever-commit-says",
        "reply before commit",
        (
            Edit(
                "shared/book.py",
                "    async with pool.acquire(timeout=5) as connection, connection.transaction():\n"
                "        return await write(connection)\n",
                "    async with pool.acquire(timeout=5) as connection:\n"
                "        transaction = connection.transaction()\n"
                "        await transaction.start()\n"
                "        try:\n"
                "            written = await write(connection)\n"
                "        except BaseException:\n"
                "            await transaction.rollback()\n"
                "            raise\n"
                "        try:\n"
                "            await transaction.commit()\n"
                "        except asyncpg.PostgresError as error:\n"
                "            log.warning('not_committed', error=repr(error))\n"
                "        return written\n",
            ),
        ),
        "integration/test_committer.py::test_an_objection_at_commit_is_decided_again",
    ),
    Mutant(
        "epoch-read-plainly",
        "plain epoch read",
        (Edit("shared/statements/lock_partition.sql", "    FOR UPDATE\n", ""),),
        "integration/test_committer.py::test_an_owner_that_is_overtaken_while_it_waits_for_the_lock_writes_nothing",
    ),
    Mutant(
        "rows-counted-for-a-guard",
        "count(*) guard",
        (
            Edit("shared/migrations/versions/0001_claims.sql", "    CONSTRAINT no_over_issue CHECK (claimed <= budget),\n", ""),
            Edit(
                "shared/statements/write_claims.sql",
                "$17::text[]) AS row\n",
                "$17::text[]) AS row\n"
                "    WHERE (SELECT count(*) FROM redemptions WHERE campaign_id = ($3::uuid[])[1] AND released_at IS NULL)\n"
                "        < (SELECT coalesce(budget, 1000000) FROM campaign_slices WHERE campaign_id = ($3::uuid[])[1])\n",
            ),
        ),
        "integration/test_committer.py::test_facts_that_lie_cannot_over_issue",
    ),
    Mutant(
        "cursor-moved-first",
        "cursor moved before commit",
        (
            Edit(
                "claim_workers/committer.py",
                "        committed = await decided_with_others(",
                "        await self._pool.execute(\n"
                "            'UPDATE partitions SET cursor = $2 WHERE partition_no = $1',\n"
                "            self._life.partition_no, entries[-1].entry_id,\n"
                "        )\n"
                "        entries = [Entry(f'{2**50 + n}-0', each.claim, each.raw) for n, each in enumerate(entries)]\n"
                "        committed = await decided_with_others(",
            ),
            Edit(
                "claim_workers/committer.py",
                "        cursor = entries[-1].entry_id if entries else head.cursor\n",
                "        cursor = head.cursor\n",
            ),
        ),
        "integration/test_committer.py::test_the_cursor_moves_with_the_rows_or_not_at_all",
    ),
    Mutant(
        "cursor-of-any-life",
        "cursor without incarnation",
        (Edit("claim_workers/committer.py", "        if head.incarnation != self._life.incarnation:", "        if False:"),),
        "integration/test_committer.py::test_entries_of_another_life_of_the_mailbox_are_not_committed",
    ),
    Mutant(
        "cursor-of-the-life-before",
        "cursor without incarnation",
        (Edit("shared/statements/begin_incarnation.sql", "incarnation = $3, cursor = '0-0'", "incarnation = $3"),),
        "integration/test_incarnation.py::test_every_loss_begins_a_new_life_that_is_read_from_the_beginning",
    ),
    Mutant(
        "counter-by-what-was-asked",
        "counter moved by what was decided",
        (
            Edit(
                "shared/statements/take_steps.sql",
                "    FROM moved\n    WHERE released_at IS NOT NULL\n    GROUP BY campaign_id, slice_no\n",
                "    FROM redemptions\n    WHERE redemption_id = ANY ($1::uuid[]) AND $3 = 'released'\n"
                "    GROUP BY campaign_id, slice_no\n",
            ),
            Edit("shared/lifecycle.py", "    if after is State.RELEASED and any(", "    if False and any("),
        ),
        "integration/test_lifecycle.py::test_of_holds_that_end_those_that_were_given_back_are_not_given_back_again",
    ),
    Mutant(
        "window-before-replay",
        "window checked before replay",
        (
            Edit(
                "shared/domain/decide.py",
                "        known = self._facts.redemptions.get(",
                "        early = self._slices.get((claim.campaign_id, claim.slice_no))\n"
                "        closed = early and closed_by_window(early.terms.starts_at, early.terms.ends_at, self._facts.now)\n"
                "        if closed:\n"
                "            return Refused(closed)\n"
                "        known = self._facts.redemptions.get(",
            ),
        ),
        "unit/domain/test_decide.py::test_the_first_answer_that_applies_is_given",
    ),
    Mutant(
        "inserts-before-releases",
        "inserts before releases",
        (
            Edit("shared/deciding.py", "    while holds := overdue_holds(facts, here):", "    while holds := {}:"),
            Edit(
                "shared/deciding.py",
                "    return Decided(decisions, settlements)",
                "    for holds in overdue_holds(facts, here).values():\n"
                "        settlements += await expire(connection, await lock(connection), holds)\n"
                "    return Decided(decisions, settlements)",
            ),
        ),
        "integration/test_rules.py::test_an_owners_overdue_hold_is_released_in_the_batch_of_the_next_claim",
    ),
    Mutant(
        "log-by-a-serial",
        "serial outbox poll",
        (
            Edit(
                "shared/migrations/versions/0003_shield_codes.sql",
                "CREATE TABLE code_log (\n",
                "CREATE SEQUENCE code_positions;\nCREATE TABLE code_log (\n",
            ),
            Edit(
                "shared/migrations/versions/0003_shield_codes.sql",
                "        UPDATE code_log_head SET position = position + 1 WHERE alone RETURNING position INTO reached;\n",
                "        reached := nextval('code_positions');\n",
            ),
            Edit(
                "shared/statements/codes_since.sql",
                "(SELECT position FROM code_log_head WHERE alone)",
                "(SELECT max(position) FROM code_log)",
            ),
            Edit(
                "shared/statements/code_log_end.sql", "position FROM code_log_head WHERE alone", "max(position) FROM code_log"
            ),
        ),
        "integration/test_code_filter.py::test_positions_are_seen_in_their_order_whoever_commits_first",
    ),
)

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
                "      if before and mode == 'move' then free = before - #cmsgpack.unpack(said)[1] end\n"
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
                "  local others = number(",
                "  if pending[claim.id] then return PENDING end\n  local others = number(",
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
)

DOOR = (
    Mutant(
        "ack-from-redis",
        "ack from Redis",
        (
            Edit(
                "frontdoor/desk.py",
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
)

WITHOUT_REDIS = (
    Mutant(
        "refused-by-a-gate-that-nobody-vouches-for",
        "refusal by a life that is over",
        (
            Edit(
                "shared/scripts/admit.lua",
                "return (held or not vouched) and LOOK_EXHAUSTED or EXHAUSTED end",
                "return held and LOOK_EXHAUSTED or EXHAUSTED end",
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
        (Edit("claim_workers/vouching.py", "clock.monotonic() > self._answered_at + VOUCHED_S + _HEARD_S", "True"),),
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

MUTANTS = (*COMMITTING, *GATE, *DOOR, *WITHOUT_REDIS)
