"""What people type. Each command loads what it needs when it is called, so that a small one is quick."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from shared.errors import LastslotError

if TYPE_CHECKING:
    from shared.settings import Settings

_DATA_DIR = click.Path(file_okay=False, path_type=Path)
HERE = Path("data")
_PORT = click.IntRange(0, 65535)

data_dir_option = click.option(
    "--data-dir", type=_DATA_DIR, default=HERE, show_default=True, help="What the stack keeps; made when it is not there."
)


def _named_in_tokens(command: Callable[..., None]) -> Callable[..., None]:
    audience = click.option("--jwt-audience", envvar="LASTSLOT_JWT_AUDIENCE", help="For whom tokens are (aud).")
    issuer = click.option("--jwt-issuer", envvar="LASTSLOT_JWT_ISSUER", help="Whose tokens they are (iss).")
    return audience(issuer(command))


class _Commands(click.Group):
    """The commands below, and the groups that live in files of their own."""

    _elsewhere: ClassVar = {
        "attic": "lastslot.attic_commands",
        "attempts": "lastslot.attempt_commands",
        "campaign": "lastslot.campaign_commands",
        "codes": "lastslot.code_commands",
        "filter": "lastslot.filter_commands",
        "partitions": "lastslot.partition_commands",
        "reconcile": "lastslot.reconcile_command",
        "segments": "lastslot.segment_commands",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._elsewhere:
            return super().get_command(ctx, cmd_name)
        group: click.Command = getattr(import_module(self._elsewhere[cmd_name]), cmd_name)
        return group


def main() -> None:
    """The `lastslot` script."""
    try:
        cli()
    except LastslotError as error:
        click.echo(f"lastslot: {error}", err=True)
        sys.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lastslot")
def cli() -> None:
    """Lastslot, a coupon claim engine: N slots means exactly N winners."""


@cli.command()
@click.option("--port", type=_PORT, default=8080, show_default=True, help="Port on 127.0.0.1; 0 is any free one.")
@click.option("--admin-port", type=_PORT, help="Of the admin API.  [default: the next one, or a free one if that is taken]")
@data_dir_option
@click.option("--frontdoors", type=click.IntRange(min=1), default=2, show_default=True, help="Front door processes.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Worker processes.")
@click.option("--postgres-dsn", help="Use this database instead of an embedded one.")
@click.option("--redis-url", help="Use this Redis instead of an embedded one.")
@_named_in_tokens
def up(**wish: Any) -> None:
    """Start everything on this machine, and keep it running until Ctrl-C."""
    from lastslot.up import Wish
    from lastslot.up import up as serve

    serve(Wish(**wish))


@cli.command()
@click.option("--user", required=True, help="Whom the token speaks for.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(["service", "admin"]), help="What it may do beyond claiming."
)
@click.option("--ttl-s", type=click.IntRange(min=1), default=86_400, show_default=True, help="How long it is good, in seconds.")
@click.option("--data-dir", type=_DATA_DIR, help="Of the stack it is for.  [default: data]")
@click.option("--jwt-secret", envvar="LASTSLOT_JWT_SECRET", help="Sign with this, for a stack without a data directory.")
@click.option("--jwks", envvar="LASTSLOT_JWKS", hidden=True)
@_named_in_tokens
def token(
    user: str,
    scopes: tuple[str, ...],
    ttl_s: int,
    data_dir: Path | None,
    jwt_secret: str | None,
    jwks: str | None,
    jwt_audience: str | None,
    jwt_issuer: str | None,
) -> None:
    """Print a token."""
    from frontdoor.tokens import issue
    from shared.domain.ids import MAX_USER_LENGTH, user_of

    if user_of(user) is None:
        raise click.UsageError(f"--user must be of 1 to {MAX_USER_LENGTH} characters, none of them NUL")
    if jwt_secret is None or data_dir is not None:
        jwt_secret = _secret(data_dir or HERE, jwks)
    click.echo(issue(jwt_secret, user, scopes, ttl_s, audience=jwt_audience, issuer=jwt_issuer))


def _secret(data_dir: Path, jwks: str | None) -> str:
    from lastslot.datadir import NoStack, known_secrets

    try:
        return known_secrets(data_dir).jwt_secret
    except NoStack:
        if jwks is None:
            raise
        raise LastslotError(
            "there is no LASTSLOT_JWT_SECRET to sign with: tokens are issued where the private keys of LASTSLOT_JWKS are"
        ) from None


def database_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a database."""
    dsn = click.option("--postgres-dsn", envvar="LASTSLOT_POSTGRES_DSN", help="The database.")
    data_dir = click.option("--data-dir", type=_DATA_DIR, help="The database of the stack that runs here.  [default: data]")
    return dsn(data_dir(command))


def database(postgres_dsn: str | None, data_dir: Path | None) -> str:
    """The database so named. Raises LastslotError when it cannot be used."""
    from lastslot.datadir import stack_of
    from lastslot.stores import postgres_fault

    if postgres_dsn is None or data_dir is not None:
        postgres_dsn = stack_of(data_dir or HERE).postgres_dsn
    if fault := postgres_fault(postgres_dsn):
        raise LastslotError(f"the database cannot be used; does it run? {fault}")
    return postgres_dsn


@cli.command()
@database_options
def migrate(postgres_dsn: str | None, data_dir: Path | None) -> None:
    """Bring a database to this version's schema."""
    from shared.migrations.run import migrate as run_migrations

    run_migrations(database(postgres_dsn, data_dir))
    click.echo("the database is at this version's schema")


@cli.command()
@database_options
def verify(postgres_dsn: str | None, data_dir: Path | None) -> None:
    """Prove every invariant on the live database; exit code 1 when one does not hold."""
    import asyncio

    from shared.audit import audit, render

    report = asyncio.run(audit(database(postgres_dsn, data_dir)))
    click.echo(render(report))
    sys.exit(0 if report.clean else 1)


@cli.command()
@database_options
@click.argument("name", metavar="ORDER|USER|CODE")
def history(name: str, postgres_dsn: str | None, data_dir: Path | None) -> None:
    """Print what happened to an order, a user or a code, refusals included; exit code 1 when nothing is known of it."""
    import asyncio

    from shared.history import history as tell

    async def print_all(dsn: str) -> int:
        lines = 0
        async for line in tell(dsn, name):
            click.echo(line)
            lines += 1
        return lines

    if not asyncio.run(print_all(database(postgres_dsn, data_dir))):
        raise LastslotError(f"the ledger does not speak of {name}")


@cli.command()
@data_dir_option
@click.option("--people", type=click.IntRange(min=1), default=10_000, show_default=True, help="Who press redeem.")
@click.option("--slots", type=click.IntRange(min=1), default=1_000, show_default=True, help="What there is to win.")
@click.option("--connections", type=click.IntRange(min=1), default=256, show_default=True, help="Keep-alive connections.")
def demo(data_dir: Path, people: int, slots: int, connections: int) -> None:
    """A burst of redeems, and the proof that exactly the slots were given out; exit code 1 when anything is off."""
    from lastslot.demo import demo as run_demo

    sys.exit(run_demo(data_dir, people, slots, connections))


@cli.command()
def frontdoor() -> None:
    """One front door process, told by LASTSLOT_* variables."""
    from frontdoor.main import serve

    serve(_settings())


@cli.command()
def worker() -> None:
    """One worker process, told by LASTSLOT_* variables."""
    from claim_workers.main import work

    work(_settings())


@cli.command()
def jobs() -> None:
    """One process for scheduled work, told by LASTSLOT_* variables."""
    from claim_workers.jobs import run

    run(_settings())


def _settings() -> "Settings":
    from shared.settings import from_environment

    return from_environment()
