"""Bad bodies of the calls of coupons: never a 5xx, always a named reason, and nothing lost by it."""

import asyncio
import gzip
import json

from tests.acceptance.history import Ask
from tests.acceptance.raw_door import (
    BODY,
    FIELD,
    NO_OBJECT,
    NOBODY,
    NOT_JSON,
    ODD_FIELDS,
    UNKNOWN,
    WON,
    Door,
    Wanted,
    compared,
)
from tests.acceptance.sockets import wire
from tests.acceptance.test_bad_campaigns import campaign_body


async def test_bodies_of_redeem(door: Door) -> None:
    bodies = {**dict.fromkeys(NO_OBJECT, BODY), **dict.fromkeys(ODD_FIELDS, FIELD)}
    requests = {name: door.redeem(body) for name, body in (NO_OBJECT | ODD_FIELDS).items()}
    assert await door.answers(requests) == bodies


async def test_bodies_of_validate(door: Door) -> None:
    odd = {name: body for name, body in ODD_FIELDS.items() if name != "no field"}
    requests = {
        name: door.post("/api/v1/coupons/validate", body, "ann") for name, body in (NO_OBJECT | odd | {"{}": b"{}"}).items()
    }
    assert await door.answers(requests) == {**dict.fromkeys(NO_OBJECT, BODY), **dict.fromkeys(odd, FIELD), "{}": FIELD}


async def test_odd_attributes(door: Door) -> None:
    adult = '{">=":[{"var":"attrs.age"},18]}'
    code = json.dumps(f"{door.code}-ADULT")
    made = door.post("/api/v1/campaigns", campaign_body(code=code, audience_filter=adult), "root", "admin")
    assert (await door.admin.answer(made))[0] == 201
    mismatch: Wanted = (403, "audience_mismatch")
    tried: dict[str, Wanted] = {
        "{}": mismatch,
        '{"age":null}': mismatch,
        '{"age":"old"}': mismatch,
        '{"age":[]}': mismatch,
        '{"age":{"var":"attrs.age"}}': mismatch,
        '{"age":-1e308}': mismatch,
        '{"age":17.999}': mismatch,
        '{"\\u0000":"\\u0000"}': mismatch,
        '{"age":NaN}': BODY,
        '{"age":1e999}': FIELD,
        '{"age":"\\ud800"}': BODY,
        '{"age":' + "[" * 400 + "]" * 400 + "}": mismatch,
        '{"age":' + "[" * 7_000 + "]" * 7_000 + "}": BODY,
        '{"age":18}': WON,
    }
    members = f'"code":{code},"order_id":"odd attributes"'
    requests = {
        text: door.post(
            "/api/v1/coupons/redeem", f'{{{members},"user_id":"odd-{n}","attrs":{text}}}'.encode(), "till", "service"
        )
        for n, text in enumerate(tried)
    }
    assert await door.answers(requests) == tried
    of_users: dict[str, Wanted] = {
        '"attrs":{}': (403, "scope_required"),
        '"first_order":false': (403, "scope_required"),
        '"attrs":null': mismatch,
    }
    requests = {text: door.post("/api/v1/coupons/redeem", f"{{{members},{text}}}".encode(), "ann") for text in of_users}
    assert await door.answers(requests) == of_users


async def test_what_a_stranger_says_of_a_user_is_not_read(door: Door) -> None:
    headers = {"Host": "door", "Content-Type": "application/json"}
    said: dict[str, Wanted] = {
        '"user_id":"ann"': (401, "token_missing"),
        '"attrs":{}': (401, "token_missing"),
        '"first_order":true': (200, None),
        '"first_order":false': (200, None),
        '"attrs":null': (200, None),
    }
    requests = {
        text: wire("POST", "/api/v1/coupons/validate", headers, f'{{"code":{json.dumps(door.code)},{text}}}'.encode())
        for text in said
    }
    assert await door.answers(requests) == said


async def test_numbers_at_their_edges(door: Door) -> None:
    good = {"0", "2147483647", "2147483648", "4294967296", "1000000000000", "null", "-0"}
    bad = {
        "-1",
        "-9223372036854775809",
        "1000000000001",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "1.0",
        "1e3",
        '"1"',
        "false",
        "[]",
        "{}",
    }
    requests = {text: door.redeem_with("subtotal", text) for text in good | bad}
    assert await door.answers(requests) == {**dict.fromkeys(good, WON), **dict.fromkeys(bad, FIELD)}


async def test_codes_as_people_and_others_type_them(door: Door) -> None:
    code = door.code
    wide = code.translate({ord(letter): ord(letter) + 0xFEE0 for letter in code})
    typed: dict[str, Wanted] = {
        code.lower(): WON,
        f"  {code}\t": WON,
        wide: WON,
        code + "\u0301": UNKNOWN,
        code.replace("A", "\u0410"): UNKNOWN,  # a Cyrillic look-alike
        code.replace("C", "\u216d"): WON,  # the Roman numeral is the letter, by compatibility
        "\u202e" + code: UNKNOWN,
        code + "\u200b": UNKNOWN,
        f"{code[:3]} {code[3:]}": UNKNOWN,
        code + "\0": UNKNOWN,
        code + "\n" + code: UNKNOWN,
        "🎉": UNKNOWN,
        " ": UNKNOWN,
        "' OR 1=1 --": UNKNOWN,
        "%00": UNKNOWN,
        "*": UNKNOWN,
        "A" * 65: UNKNOWN,
        "\ufdfa" * 64: UNKNOWN,  # one character that becomes eighteen
        "A" * 257: FIELD,
    }
    requests = {text: door.redeem_with("code", json.dumps(text)) for text in typed}
    assert await door.answers(requests) == typed


async def test_users_may_be_called_almost_anything(door: Door) -> None:
    users = ["{}", "a:b", "a\nb", "{p0}", "🎉", "%00", "..", "-", "'", "u" * 256, "\u202e", " "]
    replies = await asyncio.gather(*(door.client.redeem(Ask(user, door.code, "key")) for user in users))
    assert [reply.status for reply in replies] == [201] * len(users)
    again = await asyncio.gather(*(door.client.redeem(Ask(user, door.code, "key")) for user in users))
    assert [reply.body["user_id"] for reply in again] == users


async def test_a_user_in_the_body(door: Door) -> None:
    tried: dict[str, Wanted] = {
        '"somebody"': (403, "user_mismatch"),
        '""': FIELD,
        '"\\u0000"': FIELD,
        "5": FIELD,
        json.dumps("u" * 257): FIELD,
        "null": WON,
    }
    assert await door.answers({text: door.redeem_with("user_id", text) for text in tried}) == tried


async def test_media_types(door: Door) -> None:
    good = json.dumps({"code": door.code, "order_id": "order"}).encode()
    requests, wanted = compared(
        {
            "none": (door.redeem(without="Content-Type"), NOT_JSON),
            "text": (door.redeem(Content_Type="text/plain"), NOT_JSON),
            "form": (door.redeem(Content_Type="application/x-www-form-urlencoded"), NOT_JSON),
            "charset foo": (door.redeem(Content_Type="application/json; charset=foo"), NOT_JSON),
            "charset utf-16": (door.redeem(Content_Type="application/json; charset=utf-16"), NOT_JSON),
            "charset utf-8": (door.redeem(Content_Type='Application/JSON;charset="UTF-8"'), WON),
            "gzip": (door.redeem(gzip.compress(good), Content_Encoding="gzip"), NOT_JSON),
            "gzip bomb": (door.redeem(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip"), NOT_JSON),
            "not gzip": (door.redeem(Content_Encoding="gzip"), NOT_JSON),
            "brotli": (door.redeem(Content_Encoding="br"), NOT_JSON),
            "identity": (door.redeem(Content_Encoding="identity"), WON),
            "too large": (door.redeem(b" " * 16_385), (413, "body_too_large")),
            "too deep and too large": (door.redeem(b"[" * 100_000), (413, "body_too_large")),
        }
    )
    assert await door.answers(requests) == wanted


async def test_bodies_of_release(door: Door) -> None:
    path = f"/api/v1/redemptions/{NOBODY}/release"
    bodies: dict[bytes, Wanted] = {
        b"": BODY,
        b"[]": BODY,
        b"{}": FIELD,
        b'{"reason":"fun"}': FIELD,
        b'{"reason":null}': FIELD,
        b'{"reason":"refund","reason":"failure"}': FIELD,
        b'{"reason":"refund","x":1}': FIELD,
        b'{"reason":"refund"}': (404, "redemption_unknown"),
    }
    requests = {body.decode(): door.post(path, body, "till", "service") for body in bodies}
    assert await door.answers(requests) == {body.decode(): wanted for body, wanted in bodies.items()}


async def test_bad_and_good_in_the_same_moment(door: Door) -> None:
    bad = [*NO_OBJECT.values(), *ODD_FIELDS.values()]
    good = [Ask(f"neighbour-{number}", door.code, "key") for number in range(len(bad))]
    refused, replies = await asyncio.gather(
        asyncio.gather(*(door.answer(door.redeem(body)) for body in bad)),
        asyncio.gather(*(door.client.redeem(ask) for ask in good)),
    )
    assert {status for status, _ in refused} == {400}
    assert [reply.status for reply in replies] == [201] * len(good)
