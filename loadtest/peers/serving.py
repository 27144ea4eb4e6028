"""One process of a peer: an aiohttp application on uvloop, on a port it shares with its siblings."""

import asyncio
import signal
from argparse import ArgumentParser
from collections.abc import Callable

import uvloop
from aiohttp import web


def arguments() -> ArgumentParser:
    """What every peer is told; one that needs stores adds their addresses."""
    parser = ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    return parser


def serve(make_app: Callable[[], web.Application], port: int) -> None:
    """Serve until SIGTERM or SIGINT; say "ready" once the port is open, for whoever waits to load it."""
    uvloop.run(_serve(make_app(), port))


async def _serve(app: web.Application, port: int) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True, shutdown_timeout=1, backlog=1024).start()
    print("ready", flush=True)
    await stopping.wait()
    await runner.cleanup()
