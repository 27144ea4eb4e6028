"""Making a directory into a Postgres cluster, also when we are root, as whom Postgres refuses to run."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from lastslot.binaries import postgres_binary
from shared.errors import LastslotError

#: Whom Postgres runs as when we are root: an account that every machine has, so none needs to be made.
UNPRIVILEGED = "nobody"


class ClusterFailed(LastslotError):
    """The embedded Postgres could not be set up."""


def ensure_cluster(directory: Path, password: str) -> None:
    """Make `directory` a cluster with a database `lastslot` and this password for `postgres`, unless it is one.

    It is built beside and moved into place, so that one that was cut short is never taken for whole.
    """
    account = pwd.getpwnam(UNPRIVILEGED) if os.geteuid() == 0 else None
    if account is not None:
        _let_traverse(postgres_binary("postgres"))
        _let_traverse(directory)
        _let_read(postgres_binary("postgres").parent.parent)
    if directory.exists():
        return
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    with tempfile.NamedTemporaryFile("w") as secret:
        secret.write(password)
        secret.flush()
        if account is not None:
            os.chown(unfinished, account.pw_uid, account.pw_gid)
            os.chown(secret.name, account.pw_uid, account.pw_gid)
        _initdb(unfinished, secret.name, account)
    _create_database(unfinished, account)
    unfinished.rename(directory)


def _initdb(directory: Path, secret: str, account: pwd.struct_passwd | None) -> None:
    words = ("--username=postgres", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    guard = ("--auth=scram-sha-256", f"--pwfile={secret}")
    _run((str(postgres_binary("initdb")), "-D", str(directory), *words, *guard), account)


def _create_database(directory: Path, account: pwd.struct_passwd | None) -> None:
    # Single-user mode: no port, no password, and done before anyone else can connect.
    single = (str(postgres_binary("postgres")), "--single", "-D", str(directory), "postgres")
    _run(single, account, "CREATE DATABASE lastslot;\n")


def _run(argv: tuple[str, ...], account: pwd.struct_passwd | None, said: str = "") -> None:
    done = subprocess.run(
        argv,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=None if account is None else account.pw_uid,
        group=None if account is None else account.pw_gid,
        extra_groups=None if account is None else [],
    )
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise ClusterFailed(f"{Path(argv[0]).name} failed: {(done.stderr or done.stdout).strip()}")


def _let_traverse(path: Path) -> None:
    # Passing through is all that is granted (a home directory is often closed to others), and only where it is missing.
    for ancestor in path.parents:
        if ancestor.exists() and not ancestor.stat().st_mode & stat.S_IXOTH:
            ancestor.chmod(ancestor.stat().st_mode | stat.S_IXOTH)


def _let_read(installation: Path) -> None:
    # Installed under a strict umask, the server's own files would be closed to the account it runs as.
    if installation.stat().st_mode & stat.S_IROTH:
        return
    for path in (installation, *installation.rglob("*")):
        granted = stat.S_IROTH | (stat.S_IXOTH if path.stat().st_mode & stat.S_IXUSR else 0)
        path.chmod(path.stat().st_mode | granted)
