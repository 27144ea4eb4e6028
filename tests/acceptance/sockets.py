"""Requests as bytes on sockets of their own, for what an HTTP client would be too well-behaved to do."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from shared.clock import monotonic
from tests.acceptance.history import Reply


def wire(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def release_together(addresses: Sequence[tuple[str, int]], requests: Sequence[bytes]) -> list[Reply]:
    """Send each request on its own socket but for its last byte; when all are there, send all last bytes in one go."""
    streams = await asyncio.gather(*(asyncio.open_connection(*address) for address in addresses))
    try:
        for (_, writer), request in zip(streams, requests, strict=True):
            writer.write(request[:-1])
        await asyncio.gather(*(writer.drain() for _, writer in streams))
        began = monotonic()
        for (_, writer), request in zip(streams, requests, strict=True):
            writer.write(request[-1:])
        return await asyncio.wait_for(asyncio.gather(*(_read(reader, began) for reader, _ in streams)), 40)
    finally:
        for _, writer in streams:
            writer.close()


async def _read(reader: asyncio.StreamReader, began: float) -> Reply:
    status_line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.title(): value.strip() for name, _, value in (field.partition(":") for field in fields if field)}
    raw = await reader.readexactly(int(headers["Content-Length"]))
    return Reply(int(status_line.split()[1]), msgspec.json.decode(raw), headers, began, monotonic(), raw)
