"""HTTP/1.1 as the load client speaks it: a request is rendered, an answer is found in what came in. No I/O."""

from collections.abc import Mapping

END_OF_HEAD = b"\r\n\r\n"
_BODILESS = (204, 304)


def render(method: str, path: str, host: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + END_OF_HEAD + body


def frame(data: bytes) -> tuple[int, int, bool] | None:
    """(status, where the head ends, whether the server will close) of one whole answer; None while bytes are missing.

    Raises ValueError for what is not exactly one answer with a Content-Length.
    """
    head_end = data.find(END_OF_HEAD)
    if head_end < 0:
        return None
    head = data[: head_end + 2].lower()
    status = int(head[9:12])
    length = 0 if status in _BODILESS else int(_value(head, b"\r\ncontent-length:"))
    missing = head_end + len(END_OF_HEAD) + length - len(data)
    if missing > 0:
        return None
    if missing < 0 or not head.startswith(b"http/1.1 "):
        raise ValueError("not one answer of HTTP/1.1")
    return status, head_end, b"\r\nconnection:" in head and b"close" in _value(head, b"\r\nconnection:")


def _value(head: bytes, name: bytes) -> bytes:
    start = head.index(name) + len(name)
    return head[start : head.index(b"\r\n", start)]
