"""Whether Postgres and Redis answer where they should; and if not, what they said."""

from collections.abc import Callable
from pathlib import Path

import click
import psycopg
import redis

from lastslot.cli import HERE
from lastslot.datadir import stack_of


def postgres_fault(dsn: str) -> str | None:
    """Why this database cannot be used now; None when it can."""
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.Error as error:
        return str(error).strip()
    return None


def redis_fault(url: str) -> str | None:
    """Why this Redis cannot be used now; None when it can."""
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        return str(error).strip()
    return None


def redis_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option that names a Redis, beside those that name a database."""
    return click.option("--redis-url", envvar="LASTSLOT_REDIS_URL", help="The Redis.  [default: that of the stack]")(command)


def redis_named(redis_url: str | None, data_dir: Path | None) -> str:
    """The Redis so named: that of the stack of `data_dir` (by default, the one that runs here) if no other is."""
    return redis_url if redis_url is not None and data_dir is None else stack_of(data_dir or HERE).redis_url
