"""Mistakes of who decides and writes."""

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
        "epochs-of-a-turn-read-plainly",
        "plain epoch read",
        (Edit("shared/statements/lock_free.sql", "    FOR UPDATE OF p SKIP LOCKED\n", ""),),
        "integration/test_turns.py::test_an_owner_that_is_overtaken_writes_nothing_in_a_turn_either",
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
                "entries[-1].entry_id if entries else head.cursor)",
                "head.cursor)",
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
                "        early = here.get((claim.campaign_id, claim.slice_no))\n"
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
            Edit("shared/deciding.py", "    while holds := overdue_holds(facts):", "    while holds := {}:"),
            Edit(
                "shared/deciding.py",
                "    return Decided(decisions, settlements)",
                "    for holds in overdue_holds(facts).values():\n"
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
