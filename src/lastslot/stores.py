"""Whether Postgres and Redis answer where they should; and if not, what they said."""

import psycopg
import redis


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
