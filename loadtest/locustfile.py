# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False
"""For people who want to watch a crowd in Locust: `locust -f loadtest/locustfile.py --data-dir data`.

The stack that serves the data directory is found by itself, and a campaign is opened for the run. Every iteration is another
person, who looks at the code and then redeems it. Locust costs more for a request than the engine does: for figures,
`make bench`.
"""

import asyncio
from argparse import ArgumentParser
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any

from locust import FastHttpUser, constant, events, task

from lastslot.crowd import open_campaign
from lastslot.datadir import find_stack
from lastslot.running import Stack

RUN = token_hex(3)
CODE = f"LOCUST-{RUN}".upper()


class Scene:
    """What every person of this run needs to know; set when the run begins."""

    stack: Stack
    numbers = count()


@events.init_command_line_parser.add_listener
def ask_for_the_stack(parser: ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="data directory of the running stack")
    parser.add_argument("--slots", type=int, default=1_000, help="slots of the campaign that is opened for this run")


@events.test_start.add_listener
def open_the_campaign(environment: Any, **_: Any) -> None:
    stack = asyncio.run(find_stack(environment.parsed_options.data_dir))
    if stack is None:
        raise SystemExit("no stack serves this data directory: start one with `make up`")
    asyncio.run(open_campaign(stack, CODE, environment.parsed_options.slots))
    environment.host = stack.base_url
    Scene.stack = stack


class Person(FastHttpUser):
    """Comes once, looks, redeems; a refusal for want of slots is an answer, not a failure."""

    wait_time = constant(0)
    host = ""

    @task
    def look_and_redeem(self) -> None:
        self.client.base_url = Scene.stack.base_url
        user = f"usr_{RUN}_{next(Scene.numbers)}"
        headers = {"Authorization": f"Bearer {Scene.stack.token(user)}"}
        self._post("validate", {"code": CODE}, headers, expected=(200, 410))
        order = {"code": CODE, "order_id": f"order-{user}"}
        self._post("redeem", order, headers | {"Idempotency-Key": f"key-{user}"}, expected=(200, 201, 202, 410))

    def _post(self, call: str, body: dict[str, str], headers: dict[str, str], expected: tuple[int, ...]) -> None:
        path = f"/api/v1/coupons/{call}"
        with self.client.post(path, json=body, headers=headers, catch_response=True) as response:
            if response.status_code in expected:
                response.success()
            else:
                response.failure(f"{response.status_code}: {response.text}")
