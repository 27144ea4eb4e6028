"""Bad bodies and lists of administrators: never a 5xx, always a named reason, and nothing lost by it."""

import gzip
import json

from tests.acceptance.history import Ask
from tests.acceptance.raw_door import BODY, FIELD, NO_OBJECT, NOBODY, Door, Wanted, compared
from tests.acceptance.sockets import wire

GOOD_CAMPAIGN = {
    "name": '"bad input"',
    "type": '"shared"',
    "code": '"NEVERMADE"',
    "discount": '{"type":"percent","value":10}',
    "total_limit": "1",
}


def campaign_body(**members: str) -> bytes:
    return f"{{{','.join(f'{json.dumps(name)}:{text}' for name, text in (GOOD_CAMPAIGN | members).items())}}}".encode()


#: Bodies with a field that campaigns do not have, before the place at which they stop being JSON.
OTHER_FIELDS_FIRST = ("NaN",)


BAD_CAMPAIGNS: dict[str, tuple[bytes, Wanted]] = {
    **{name: (body, BODY) for name, body in NO_OBJECT.items() if name not in OTHER_FIELDS_FIRST},
    "no field": (b"{}", FIELD),
    "no limit": (campaign_body().replace(b',"total_limit":1', b""), FIELD),
    "unknown field": (campaign_body(x="1"), FIELD),
    "field twice": (campaign_body()[:-1] + b',"name":"other"}', FIELD),
    "inner field twice": (campaign_body(discount='{"type":"percent","value":10,"value":99}'), FIELD),
    "inner unknown field": (campaign_body(discount='{"type":"percent","value":10,"x":1}'), FIELD),
    "name NaN": (campaign_body(name="NaN"), BODY),
    "name surrogate": (campaign_body(name='"\\ud800"'), BODY),
    "name with NUL": (campaign_body(name='"\\u0000"'), FIELD),
    "name empty": (campaign_body(name='""'), FIELD),
    "name of 10 KiB": (campaign_body(name=json.dumps("n" * 10_240)), FIELD),
    "type": (campaign_body(type='"lottery"'), FIELD),
    "code with NUL": (campaign_body(code='"A\\u0000"'), FIELD),
    "code with space": (campaign_body(code='"A B"'), FIELD),
    "code zero-width": (campaign_body(code='"A\\u200bB"'), FIELD),
    "code empty": (campaign_body(code='""'), FIELD),
    "code of 10 KiB": (campaign_body(code=json.dumps("A" * 10_240)), FIELD),
    "percent of 101": (campaign_body(discount='{"type":"percent","value":101}'), FIELD),
    "amount of nothing": (campaign_body(discount='{"type":"amount","value":0,"currency":"EUR"}'), FIELD),
    "amount of 2^63": (campaign_body(discount='{"type":"amount","value":9223372036854775808,"currency":"EUR"}'), FIELD),
    "currency": (campaign_body(discount='{"type":"amount","value":1,"currency":"€"}'), FIELD),
    "discount text": (campaign_body(discount='"10%"'), FIELD),
    **{
        f"{field} {text[:20]}": (campaign_body(**{field: text}), FIELD)
        for field in ("total_limit", "per_user_limit")
        for text in ("-1", "true", '"1"', "1.5", "9223372036854775808", "1e400", "9" * 5_000)
    },
    "per user nothing": (campaign_body(per_user_limit="0"), FIELD),
    "time zone": (campaign_body(timezone='"Europe/Atlantis"'), FIELD),
    "time zone traversal": (campaign_body(timezone='"../../etc/passwd"'), FIELD),
    "time zone NUL": (campaign_body(timezone='"\\u0000"'), FIELD),
    "time no time": (campaign_body(starts_at='"soon"'), FIELD),
    "time a number": (campaign_body(starts_at="5"), FIELD),
    "time of year 0": (campaign_body(ends_at='"0000-01-01T00:00:00"'), FIELD),
    "time of year 99999": (campaign_body(ends_at='"99999-01-01T00:00:00"'), FIELD),
    "time at the end of time": (campaign_body(ends_at='"9999-12-31T23:59:59-12:00"'), FIELD),
    **{
        f"{field} {text[:20]}": (campaign_body(**{field: text}), FIELD)
        for field in ("per_day_limit", "per_week_limit", "per_month_limit", "amount_limit", "minimum_subtotal", "hold_ttl_s")
        for text in ("-1", "true", '"1"', "1.5", "9007199254740992", "9223372036854775808", "1e400")
    },
    **{f"{field} 0": (campaign_body(**{field: "0"}), FIELD) for field in ("per_day_limit", "hold_ttl_s")},
    "money of free shipping": (campaign_body(discount='{"type":"free_shipping"}', amount_limit="1"), FIELD),
    "exact a text": (campaign_body(exact='"yes"'), FIELD),
    "first order a number": (campaign_body(first_order_only="1"), FIELD),
    "shared without a code": (campaign_body(code="null"), FIELD),
    "unique with a code": (campaign_body(type='"unique"'), FIELD),
    "filter a text": (campaign_body(audience_filter='"adults"'), FIELD),
    "filter of two operators": (campaign_body(audience_filter='{"!":1,"!!":1}'), FIELD),
    "filter of no operator": (campaign_body(audience_filter='{"exec":"ls"}'), FIELD),
    "filter that prints": (campaign_body(audience_filter='{"log":"x"}'), FIELD),
    "filter with NUL": (campaign_body(audience_filter='{"var":"\\u0000"}'), FIELD),
    "filter too deep": (campaign_body(audience_filter='{"!":[' * 20 + "1" + "]}" * 20), FIELD),
    "filter much too deep": (campaign_body(audience_filter='{"!":[' * 1_500 + "1" + "]}" * 1_500), BODY),
    "filter too large": (campaign_body(audience_filter=json.dumps({"in": [{"var": "user_id"}, ["u" * 12] * 600]})), FIELD),
    "filter with an operator twice": (campaign_body(audience_filter='{"!":1,"!":2}'), FIELD),
    "stacking an array": (campaign_body(stacking_rules="[]"), FIELD),
    "stacking unknown field": (campaign_body(stacking_rules='{"except":[]}'), FIELD),
    "stacking glob empty": (campaign_body(stacking_rules='{"excludes":[""]}'), FIELD),
    "stacking globs a text": (campaign_body(stacking_rules='{"excludes":"*"}'), FIELD),
    "stacking 101 globs": (campaign_body(stacking_rules=json.dumps({"excludes": ["A*"] * 101})), FIELD),
    "stacking category empty": (campaign_body(stacking_rules='{"category":""}'), FIELD),
    "stacking category with NUL": (campaign_body(stacking_rules='{"category":"a\\u0000"}'), FIELD),
    "day and time": (campaign_body(ends_on='"2030-01-01"', ends_at='"2030-01-01T00:00"'), FIELD),
    "day no day": (campaign_body(ends_on='"2030-02-30"'), FIELD),
    "day with a time": (campaign_body(ends_on='"2030-01-01T00:00"'), FIELD),
    "day at the end of time": (campaign_body(ends_on='"9999-12-31"'), FIELD),
    "ends before it starts": (campaign_body(starts_at='"2030-01-02T00:00"', ends_at='"2030-01-01T00:00"'), FIELD),
}


async def test_bodies_of_campaigns(door: Door) -> None:
    requests = {name: door.post("/api/v1/campaigns", body, "root", "admin") for name, (body, _) in BAD_CAMPAIGNS.items()}
    assert await door.admin.answers(requests) == {name: wanted for name, (_, wanted) in BAD_CAMPAIGNS.items()}


async def test_changes_of_campaigns(door: Door) -> None:
    path = f"/api/v1/campaigns/{door.campaign_id}"
    bodies: dict[bytes, Wanted] = {
        **{body.replace(b'"code"', b'"name"'): BODY for name, body in NO_OBJECT.items() if name not in OTHER_FIELDS_FIRST},
        b'{"code":"OTHER"}': FIELD,
        b'{"status":"ended"}': FIELD,
        b'{"total_limit":-1}': FIELD,
        b'{"total_limit":true}': FIELD,
        b'{"total_limit":1e400}': FIELD,
        b'{"per_user_limit":0}': FIELD,
        b'{"per_user_limit":null}': FIELD,
        b'{"name":null}': FIELD,
        b'{"name":"\\u0000"}': FIELD,
        b'{"discount":{}}': FIELD,
        b'{"ends_at":"never"}': FIELD,
        b'{"type":"pool"}': FIELD,
        b'{"exact":true}': FIELD,
        b'{"minted":5}': FIELD,
        b'{"first_order_only":null}': FIELD,
        b'{"audience_filter":[]}': FIELD,
        b'{"stacking_rules":{"exclusive":null}}': FIELD,
        b'{"hold_ttl_s":0}': FIELD,
        b'{"ends_on":"2030-01-01","ends_at":"2030-01-01T00:00"}': FIELD,
        b'{"total_limit":0}': (409, "limit_below_claimed"),
    }
    won = await door.client.redeem(Ask("first", door.code, "key"))
    assert won.status == 201
    requests = {repr(body): door.post(path, body, "root", "admin", method="PATCH") for body in bodies}
    assert await door.admin.answers(requests) == {repr(body): wanted for body, wanted in bodies.items()}


async def test_bodies_of_mints(door: Door) -> None:
    made = await door.client.campaign(type="pool", total_limit=None)
    path, unknown = f"/api/v1/campaigns/{made['campaign_id']}/codes", (404, "campaign_unknown")
    bodies: dict[bytes, Wanted] = {
        **{body: BODY for name, body in NO_OBJECT.items() if b"order_id" not in body and b"code" not in body},
        b"{}": FIELD,
        b'{"count":0}': FIELD,
        b'{"count":-1}': FIELD,
        b'{"count":true}': FIELD,
        b'{"count":1e400}': FIELD,
        b'{"count":9223372036854775808}': (400, "too_many_codes"),
        b'{"count":50001}': (400, "too_many_codes"),
        b'{"count":1,"user":"ann"}': FIELD,
        b'{"count":1,"count":2}': FIELD,
        b'{"count":1,"x":1}': FIELD,
        b'{"users":[]}': FIELD,
        b'{"users":["a\\u0000"]}': FIELD,
        b'{"users":["\\ud800"]}': BODY,
        b'{"user":""}': FIELD,
        b'{"count":1,"pattern":"A"}': FIELD,
        b'{"count":1,"pattern":"A#"}': (409, "pattern_too_small"),
        b'{"count":1,"pattern":"####","charset":""}': FIELD,
        b'{"count":1,"pattern":"######\\u0000"}': FIELD,
        b'{"count":1,"prefix":"\\u200b"}': FIELD,
    }
    requests = {repr(body): door.post(path, body, "root", "admin") for body in bodies}
    assert await door.admin.answers(requests) == {repr(body): wanted for body, wanted in bodies.items()}
    elsewhere = {
        odd: door.post(f"/api/v1/campaigns/{odd}/codes", b'{"count":1}', "root", "admin") for odd in (NOBODY, "%00", "1")
    }
    assert await door.admin.answers(elsewhere) == dict.fromkeys(elsewhere, unknown)


async def test_bodies_of_launches(door: Door) -> None:
    path = f"/api/v1/campaigns/{door.campaign_id}/launches"
    bodies: dict[bytes, Wanted] = {
        b"": BODY,
        b"[]": BODY,
        b"{}": FIELD,
        b'{"starts_at":"soon","ends_at":"later"}': FIELD,
        b'{"starts_at":5,"ends_at":6}': FIELD,
        b'{"starts_at":"2035-01-02T00:00","ends_at":"2035-01-01T00:00"}': FIELD,
        b'{"starts_at":"0000-01-01T00:00","ends_at":"2035-01-01T00:00"}': FIELD,
        b'{"starts_at":"9999-12-31T23:59:59-12:00","ends_at":"9999-12-31T23:59:59-12:00"}': FIELD,
        b'{"starts_at":"\\u0000","ends_at":"2035-01-01T00:00"}': FIELD,
        b'{"starts_at":"2035-01-01T00:00","ends_at":"2035-01-01T01:00","x":1}': FIELD,
    }
    requests = {repr(body): door.post(path, body, "root", "admin") for body in bodies}
    assert await door.admin.answers(requests) == {repr(body): wanted for body, wanted in bodies.items()}


async def test_lists_of_segments(door: Door) -> None:
    headers = door.admin.headers("root", "admin", Content_Type="text/csv")

    def put(body: bytes, name: str = "odd", **changed: str) -> bytes:
        return wire("PUT", f"/api/v1/segments/{name}", headers | {key.replace("_", "-"): changed[key] for key in changed}, body)

    bad_line, good = (400, "csv_invalid"), b"user_id\nann\n"
    requests, wanted = compared(
        {
            "bad UTF-8": (put(b"user_id\n\xff\n"), bad_line),
            "NUL": (put(b"user_id\na\x00\n"), bad_line),
            "user too long": (put(b"user_id\n" + b"u" * 257 + b"\n"), bad_line),
            "a line of 1 MiB": (put(b"user_id\n" + b"u" * 2**20), bad_line),
            "odd day": (put(b"user_id,since\nann,soon\n"), bad_line),
            "JSON": (put(b"[]", Content_Type="application/json"), (415, "csv_expected")),
            "gzip": (put(gzip.compress(good), Content_Encoding="gzip"), (415, "csv_expected")),
            "charset": (put(good, Content_Type="text/csv; charset=foo"), (415, "csv_expected")),
            "name with NUL": (put(good, "%00"), FIELD),
            "name of dots": (put(good, "%2e%2e%2e"), FIELD),
            "name too long": (put(good, "n" * 65), FIELD),
        }
    )
    assert await door.admin.answers(requests) == wanted
