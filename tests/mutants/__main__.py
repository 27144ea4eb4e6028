"""The mistakes that would cost somebody a coupon, made one at a time: a test must notice each.

python -m tests.mutants [NAME…]

Prints of every mutant whether its test kills it. Under each, an ordinary burst must still come to its end: a mutant that
breaks everything would be noticed by any test. Exit code 1 unless all are killed.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.mutant import ROOT, SOURCE, DoesNotApply, Mutant
from tests.mutants.table import MUTANTS

#: What a mutant leaves as it is, most of the time; that is what makes it dangerous.
ORDINARY = "tests/integration/test_desk.py::test_a_burst_has_exactly_as_many_winners_as_slots"

#: A few tests, and two servers to be started for them.
_WITHIN_S = 120

_PASSED, _FAILED = 0, 1


def main(names: Sequence[str]) -> int:
    known = {mutant.name: mutant for mutant in MUTANTS}
    if strangers := [name for name in names if name not in known]:
        print(f"no such mutant: {', '.join(strangers)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in names] or list(MUTANTS)
    code, said = _run(SOURCE, [ORDINARY, *dict.fromkeys(mutant.test for mutant in chosen)])
    if code != _PASSED:
        print(f"without any mutant the tests must pass:\n{said}", file=sys.stderr)
        return 1
    verdicts = Counter(_judged(mutant) for mutant in chosen)
    print(", ".join(f"{number} {verdict}" for verdict, number in verdicts.most_common()), f"of {len(chosen)} mutants")
    return int(verdicts["killed"] < len(chosen))


def _judged(mutant: Mutant) -> str:
    """Say, and return, what became of it."""
    with TemporaryDirectory(prefix="lastslot-mutant-") as scratch:
        source = Path(scratch, "src")
        shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
        try:
            for path, text in mutant.sources(source).items():
                (source / path).write_text(text)
        except DoesNotApply as error:
            return _said(mutant, "not applied", str(error))
        code, output = _run(source, [ORDINARY, mutant.test])
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if code == _PASSED:
        return _said(mutant, "survived", mutant.killed_by)
    if code != _FAILED or not "".join(failed[:1]).startswith(f"FAILED {mutant.test}"):
        return _said(mutant, "broken", *(failed or [output[-2000:]]))
    return _said(mutant, "killed", mutant.killed_by)


def _said(mutant: Mutant, verdict: str, *why: str) -> str:
    print(f"{verdict:12}{mutant.name}: {mutant.mistake}", *why, sep="\n            ", flush=True)
    return verdict


def _run(source: Path, tests: Sequence[str]) -> tuple[int, str]:
    """pytest's exit code and what it said, with the engine imported from `source`."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-rfE", "--tb=short", "-p", "no:cacheprovider", *tests],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=_WITHIN_S * (1 + len(tests) // 20),
        )
    except subprocess.TimeoutExpired as error:
        return -1, f"not done within {error.timeout:.0f} s"
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
