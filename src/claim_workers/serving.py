"""One lease served: its consumer in a task of its own, watched, and the lease resigned when the consumer has ended.

A shard that lives is not yet one that serves: a connection may have fallen silent under one consumer while the others, and
the leases' own, are well. So a consumer must get somewhere. Progress is what a store has answered to the work itself: a life
entered, a read completed (an empty one too), a batch committed, a gate set, a chunk of users seeded; a call that failed is
none. Whoever makes none for as long as a lease lasts is abandoned, and the partition is free at once.
"""

import asyncio
from collections.abc import Callable

import structlog

from claim_workers.consumer import Consumer
from claim_workers.reach import Reach
from shared import clock, metrics
from shared.process import abandoned

#: However short a lease is, nobody is thought to stand still before.
_PATIENCE_S = 1.0

log = structlog.get_logger()


async def served(consumer: Consumer, reach: Reach, ttl_s: float, on_standstill: Callable[[], None]) -> None:
    """Run `consumer` until it ends, or stands still; `on_standstill` hears of it when the lease was being renewed meanwhile.

    What is abandoned in the middle of a transaction may still be committed; then the next owner reads on behind it.
    """
    running = asyncio.create_task(consumer.run(), name=f"consumer-{consumer.lease.partition_no}")
    try:
        while not (await asyncio.wait([running], timeout=ttl_s / 6))[0]:
            if stands_still(consumer, reach, ttl_s):
                metrics.STANDSTILLS.inc()
                log.error("partition_stands_still", partition=consumer.lease.partition_no, epoch=consumer.lease.epoch)
                if consumer.may_act():
                    on_standstill()
                consumer.stop()
                await abandoned(running)
    finally:
        consumer.stop()
        running.cancel()
    if not running.cancelled() and (error := running.exception()) is not None:
        log.error("consumer_failed", partition=consumer.lease.partition_no, exc_info=error)


def stands_still(consumer: Consumer, reach: Reach, ttl_s: float) -> bool:
    """Whether it has got nowhere for `ttl_s` seconds by no fault of Redis; or by whosever fault, when it should have ended."""
    patience = max(ttl_s, _PATIENCE_S)
    if consumer.may_act():
        return reach.answered_since(consumer.progressed_at) > patience
    return clock.monotonic() - consumer.progressed_at > patience
