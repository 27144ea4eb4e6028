import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from frontdoor.tokens import ADMIN, Expected, Identity, TokenVerifier
from lastslot.cli import cli, main
from lastslot.datadir import secrets_of
from shared.errors import LastslotError

_COMMANDS = {"campaign", "demo", "frontdoor", "jobs", "migrate", "token", "up", "verify", "worker"}


def test_every_command_is_told_of() -> None:
    said = CliRunner().invoke(cli, ["--help"]).output
    assert {line.split()[0] for line in said.splitlines() if line.startswith("  ")} >= _COMMANDS


def test_a_token_stands_alone_on_the_last_line_and_is_of_this_directory(tmp_path: Path) -> None:
    secrets = secrets_of(tmp_path)
    said = CliRunner().invoke(cli, ["token", "--user", "usr_42", "--scope", "admin", "--data-dir", str(tmp_path)])
    identity = TokenVerifier(secrets.jwt_secret).identify(f"Bearer {said.output.splitlines()[-1]}")
    assert isinstance(identity, Identity)
    assert identity.user_id == "usr_42"
    assert identity.scopes == {ADMIN}


def test_a_secret_of_the_environment_signs_where_no_directory_was_named() -> None:
    secret = "s" * 32
    said = CliRunner().invoke(cli, ["token", "--user", "usr_42"], env={"LASTSLOT_JWT_SECRET": secret})
    assert isinstance(TokenVerifier(secret).identify(f"Bearer {said.output.strip()}"), Identity)


def test_a_directory_that_was_named_outranks_the_environment(tmp_path: Path) -> None:
    secrets = secrets_of(tmp_path)
    words = ["token", "--user", "usr_42", "--data-dir", str(tmp_path)]
    said = CliRunner().invoke(cli, words, env={"LASTSLOT_JWT_SECRET": "s" * 32})
    assert isinstance(TokenVerifier(secrets.jwt_secret).identify(f"Bearer {said.output.strip()}"), Identity)


def test_a_token_names_the_audience_and_the_issuer_that_the_doors_ask_for() -> None:
    environment = {"LASTSLOT_JWT_SECRET": "s" * 32, "LASTSLOT_JWT_AUDIENCE": "coupons", "LASTSLOT_JWT_ISSUER": "us"}
    said = CliRunner().invoke(cli, ["token", "--user", "usr_42"], env=environment)
    verifier = TokenVerifier("s" * 32, expected=Expected("coupons", "us"))
    assert isinstance(verifier.identify(f"Bearer {said.output.strip()}"), Identity)


def test_where_only_public_keys_are_no_token_can_be_made_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASTSLOT_JWT_SECRET", raising=False)
    said = CliRunner().invoke(cli, ["token", "--user", "usr_42"], env={"LASTSLOT_JWKS": "/etc/jwks.json"})
    assert isinstance(said.exception, LastslotError)
    assert "there is no LASTSLOT_JWT_SECRET to sign with" in str(said.exception)


@pytest.mark.parametrize("user", ["", "u" * 257, "nul\0", "surrogate\udcff"])
def test_a_user_that_no_door_would_accept_gets_no_token(user: str) -> None:
    said = CliRunner().invoke(cli, ["token", "--user", user, "--jwt-secret", "s" * 32])
    assert said.exit_code == 2
    assert "--user must be of 1 to 256 characters" in said.output


def test_the_longest_user_gets_a_token_that_opens() -> None:
    secret = "s" * 32
    said = CliRunner().invoke(cli, ["token", "--user", "ü" * 256, "--jwt-secret", secret])
    assert isinstance(TokenVerifier(secret).identify(f"Bearer {said.output.strip()}"), Identity)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["token", "--user", "u", "--data-dir", "nowhere"], "start one with `lastslot up --data-dir nowhere`"),
        (["verify", "--data-dir", "nowhere"], "start one with `lastslot up --data-dir nowhere`"),
        (["verify", "--postgres-dsn", "postgresql://127.0.0.1:1/none"], "the database cannot be used; does it run?"),
        (["migrate", "--postgres-dsn", "postgresql://127.0.0.1:1/none"], "the database cannot be used; does it run?"),
        (["up", "--data-dir", "{tmp}", "--postgres-dsn", "postgresql://127.0.0.1:1/none"], "the database of --postgres-dsn"),
        (["demo", "--data-dir", "{tmp}/damaged"], "stack.json cannot be read"),
        (["worker"], "LASTSLOT_POSTGRES_DSN is not set"),
    ],
)
def test_a_wrong_call_is_answered_with_what_to_do_and_no_traceback(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LASTSLOT_POSTGRES_DSN", "LASTSLOT_REDIS_URL", "LASTSLOT_JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "stack.json").write_text("{")
    monkeypatch.setattr(sys, "argv", ["lastslot", *(word.format(tmp=tmp_path) for word in words)])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert left.value.code == 1
    assert said.startswith("lastslot: ")
    assert says in said


def test_a_token_costs_no_server_libraries() -> None:
    program = "import sys, lastslot.cli, lastslot.datadir, frontdoor.tokens; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
    assert not {"aiohttp", "asyncpg", "psycopg", "redis", "alembic"} & set(loaded.split())
