"""Whether Redis answers this shard.

A partition that stands still is given up, but only while Redis answers: if it answers nobody, whoever took the partition
would stand still as well, and partitions would go round in circles.
"""

import asyncio

from shared import clock
from shared.errors import RedisUnavailable
from shared.redis_client import Redis, answer_of


class Reach:
    """What is known of Redis. Moments are in seconds of the monotonic clock."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._since = self._until = clock.monotonic()
        self.answers = True

    async def keep_asking(self, every_s: float) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask()
            await asyncio.sleep(every_s)

    async def ask(self) -> None:
        """Ask once. The client's own bound says how long an answer is waited for."""
        try:
            await answer_of(self._redis.ping())
        except RedisUnavailable:
            self.answers = False
            return
        now = clock.monotonic()
        self._since = self._since if self.answers else now
        self._until, self.answers = now, True

    def answered_since(self, moment: float) -> float:
        """For how many seconds since `moment` Redis has been answering, without a break that we know of."""
        return self._until - max(self._since, moment)
