"""The session that the README shows does what its comments say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.stacks import RunningStack

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def session() -> str:
    """The lines to paste, as they stand."""
    section = README.read_text().split("\n## A session\n")[1].split("\n## ")[0]
    return section.split("```sh\n")[1].split("```")[0]


def test_every_line_of_the_session_does_what_its_comment_says(session: str, shared_stack: RunningStack) -> None:
    # The stack's directory holds its `data`; with a `.venv` beside it, all that differs from the README is the port.
    here = shared_stack.directory
    (here / ".venv").symlink_to(sys.prefix)
    assert "http://127.0.0.1:8080" in session
    pasted = session.replace("http://127.0.0.1:8080", shared_stack.stack.base_url)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LASTSLOT_")}
    done = subprocess.run(["sh", "-eu", "-c", pasted], cwd=here, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    promised = re.findall(r"^redeem \S+ +# (\d{3})(?: (\w+))?", session, re.MULTILINE)
    assert [status for status, _ in promised] == ["201", "200", "409"]
    heard = re.split(r"^HTTP/1\.1 ", done.stdout, flags=re.MULTILINE)[1:]
    for (status, code), answer in zip(promised, heard, strict=True):
        assert answer.startswith(f"{status} ")
        assert f'"code":"{code}"' in answer.replace(" ", "") or not code
    claims = [re.search(r'"claim_id": ?"([^"]+)"', answer) for answer in heard[:2]]
    assert claims[0] is not None
    assert claims[1] is not None
    assert claims[0][1] == claims[1][1]
    assert re.search(r"BLACKFRI100 .*Black Friday .*0 of 1,000 ", " ".join(done.stdout.split()))
    assert "every invariant holds" in done.stdout
