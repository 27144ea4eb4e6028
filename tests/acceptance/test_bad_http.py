"""Bad HTTP, at both ports: never a 5xx, always a named reason, and nothing lost by it."""

from tests.acceptance.history import Ask
from tests.acceptance.raw_door import (
    BODY,
    CLAIM_UNKNOWN,
    FIELD,
    MALFORMED,
    NOBODY,
    NOT_FOUND,
    WON,
    Door,
    Wanted,
    compared,
    read_answer,
)


async def test_paths_and_queries(door: Door) -> None:
    claims, orders, campaigns = "/api/v1/claims", "/api/v1/orders", "/api/v1/campaigns"
    admin, redemptions = ("root", "admin"), "/api/v1/redemptions"
    campaign_unknown, redemption_unknown = (404, "campaign_unknown"), (404, "redemption_unknown")
    gets: dict[str, Wanted] = {
        **{f"{claims}/{odd}": CLAIM_UNKNOWN for odd in ("%2e%2e", "%00", "%ff", "1", NOBODY, NOBODY.upper(), "%0a")},
        f"{claims}/%7B%7D": NOT_FOUND,
        f"{claims}/{NOBODY}?wait=-1": FIELD,
        f"{claims}/{NOBODY}?wait=1e9": FIELD,
        f"{claims}/{NOBODY}?wait=%00": FIELD,
        f"{claims}/{NOBODY}?wait=nan": FIELD,
        f"{claims}/{NOBODY}?wait=0&partition=99999999999999999999": CLAIM_UNKNOWN,
        f"{claims}/{NOBODY}?wait=0&partition=%D9%A3": CLAIM_UNKNOWN,
        f"{claims}/{NOBODY}/x": NOT_FOUND,
        f"{claims}/": NOT_FOUND,
        f"{orders}/%00/redemptions": FIELD,
        f"{orders}/%0a/redemptions": FIELD,
        f"{orders}/{'1' * 201}/redemptions": FIELD,
        f"{orders}/%ff/redemptions": (200, None),
        f"{orders}/%2e%2e/redemptions": (200, None),
        f"{orders}/a%2Fb/redemptions": (200, None),
        f"{orders}/%7B%7D/redemptions": (200, None),
        f"{orders}//redemptions": NOT_FOUND,
        f"{orders}/1/refunded": (405, "method_not_allowed"),
        "/%2e%2e/%2e%2e/etc/passwd": NOT_FOUND,
        "/%00": NOT_FOUND,
        "/%ff": NOT_FOUND,
        "/api/v1/coupons/redeem": (405, "method_not_allowed"),
        f"/{'a' * 9_000}": (431, "headers_too_large"),
        "http://[::1/": MALFORMED,
    }
    assert await door.answers({target: door.get(target, "ann") for target in gets}) == gets
    of_admin: dict[str, Wanted] = {
        **{f"{campaigns}/{odd}": campaign_unknown for odd in ("%2e%2e", "%00", "%ff", "1", NOBODY)},
        f"{campaigns}/{NOBODY}/stats": campaign_unknown,
        f"{campaigns}?limit=0": FIELD,
        f"{campaigns}?limit=-1": FIELD,
        f"{campaigns}?limit=99999999999999999999": FIELD,
        f"{campaigns}?after=%00": FIELD,
        f"{campaigns}?after=..": FIELD,
        f"{campaigns}?code=%00": (200, None),
        f"{campaigns}?code=%ff": (200, None),
        f"{campaigns}?code=%ED%A0%80": (200, None),
    }
    assert await door.admin.answers({target: door.get(target, *admin) for target in of_admin}) == of_admin
    steps = {f"{redemptions}/{odd}/confirm": redemption_unknown for odd in ("%2e%2e", "%00", "%ff", "1", NOBODY)}
    assert await door.answers({target: door.post(target, b"", "till", "service") for target in steps}) == steps
    refunds: dict[str, Wanted] = {
        f"{orders}/%00/refunded": FIELD,
        f"{orders}/{'1' * 201}/refunded": FIELD,
        f"{orders}//refunded": NOT_FOUND,
        **{f"{orders}/{odd}/refunded": (200, None) for odd in ("%2e%2e", "%ff", "a%2Fb", "%7B%7D")},
    }
    assert await door.answers({target: door.post(target, b"\xff{", "till", "service") for target in refunds}) == refunds


async def test_http_that_is_none(door: Door) -> None:
    plain = door.redeem()
    head, _, body = plain.partition(b"\r\n\r\n")
    length = b"Content-Length: %d" % len(body)
    host = head.split(b"\r\n")[1]

    def but(old: bytes, new: bytes) -> bytes:
        return plain.replace(old, new, 1)

    requests, wanted = compared(
        {
            "garbage": (b"\x00\x01garbage\r\n\r\n", MALFORMED),
            "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01", MALFORMED),
            "CL and TE": (but(length, length + b"\r\nTransfer-Encoding: chunked"), MALFORMED),
            "two lengths": (but(length, length + b"\r\nContent-Length: 3"), MALFORMED),
            "negative length": (but(length, b"Content-Length: -1"), MALFORMED),
            "two Hosts": (but(host, host + b"\r\nHost: other"), MALFORMED),
            "no Host": (but(host + b"\r\n", b""), MALFORMED),
            "bare LF": (head.replace(b"\r\n", b"\n") + b"\n\n" + body, MALFORMED),
            "200 headers": (but(length, length + b"".join(b"\r\nX-%d: 1" % n for n in range(200))), MALFORMED),
            "9 KiB header": (but(length, length + b"\r\nX: " + b"x" * 9_216), (431, "headers_too_large")),
            "folded header": (but(length, length + b"\r\nX: 1\r\n folded"), MALFORMED),
            "NUL in a header": (but(length, length + b"\r\nX: \x00"), MALFORMED),
            "HTTP/9.9": (but(b"HTTP/1.1", b"HTTP/9.9"), MALFORMED),
            "method": (but(b"POST", b"BREW"), MALFORMED),
            "expectation": (but(length, length + b"\r\nExpect: magic"), (417, "expectation_failed")),
            "chunk size": (but(length, b"Transfer-Encoding: chunked").replace(body, b"zz\r\n"), MALFORMED),
            "endless chunk": (
                but(length, b"Transfer-Encoding: chunked").replace(body, b"10000\r\n" + b" " * 0x10000 + b"\r\n"),
                (413, "body_too_large"),
            ),
        }
    )
    assert await door.answers(requests) == wanted


async def test_http_that_is_none_at_the_port_for_administrators(door: Door) -> None:
    plain = door.admin.get("/api/v1/campaigns?limit=1", "root", "admin")
    head = plain.removesuffix(b"\r\n\r\n")
    requests, wanted = compared(
        {
            "garbage": (b"\x00\x01garbage\r\n\r\n", MALFORMED),
            "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01", MALFORMED),
            "CL and TE": (head + b"\r\nTransfer-Encoding: chunked\r\n\r\n", MALFORMED),
            "two Hosts": (head + b"\r\nHost: other\r\n\r\n", MALFORMED),
            "bare LF": (plain.replace(b"\r\n", b"\n"), MALFORMED),
            "200 headers": (head + b"".join(b"\r\nX-%d: 1" % n for n in range(200)) + b"\r\n\r\n", MALFORMED),
            "9 KiB header": (head + b"\r\nX: " + b"x" * 9_216 + b"\r\n\r\n", (431, "headers_too_large")),
            "HTTP/9.9": (plain.replace(b"HTTP/1.1", b"HTTP/9.9"), MALFORMED),
            "expectation": (head + b"\r\nExpect: magic\r\n\r\n", (417, "expectation_failed")),
            "HTTP/1.0": (plain.replace(b"HTTP/1.1", b"HTTP/1.0"), (200, None)),
            "a call of the other port": (door.redeem(), NOT_FOUND),
            "another's call": (door.post("/api/v1/coupons/validate", b"{}", "ann"), NOT_FOUND),
        }
    )
    assert await door.admin.answers(requests) == wanted


async def test_odd_but_proper_http_is_served(door: Door) -> None:
    length = b"Content-Length: "
    requests = {
        "HTTP/1.0": door.redeem().replace(b"HTTP/1.1", b"HTTP/1.0"),
        "100 headers": door.redeem().replace(length, b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + length),
        "Latin-1": door.redeem().replace(length, b"X: \xff\r\n" + length),
        "odd request id": door.redeem().replace(length, b'X-Request-Id: "><\xff\r\n' + length),
    }
    assert await door.answers(requests) == dict.fromkeys(requests, WON)


async def test_a_body_that_breaks_off_takes_nothing_along(door: Door) -> None:
    async with door.connected() as (_, writer):
        writer.write(door.redeem()[:-1])
        await writer.drain()
    good = await door.client.redeem(Ask("after", door.code, "key"))
    assert good.status == 201
    stats = await door.client.administer("GET", f"/api/v1/campaigns/{door.campaign_id}/stats", None)
    assert stats.body["claimed"] == 1


async def test_a_thousand_pipelined_requests_are_answered_in_their_order(door: Door) -> None:
    bad, good = door.redeem(b"["), door.redeem()
    async with door.connected() as (reader, writer):
        writer.write((bad * 99 + good) * 10)
        answers = [await read_answer(reader) for _ in range(1_000)]
    assert answers == ([BODY] * 99 + [WON]) + ([BODY] * 99 + [(200, None)]) * 9
