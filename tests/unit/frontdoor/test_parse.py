"""Bad input is answered with a named reason, good input with a value, and nothing with an exception."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontdoor.parse import (
    RedeemBody,
    ReleaseBody,
    ValidateBody,
    idempotency_key,
    media_problem,
    path_id,
    path_order_id,
    preferred_wait,
    redeem_body,
    release_body,
    validate_body,
    wait_query,
)
from frontdoor.problems import KEY_INVALID, KEY_MISSING, Problem, body
from frontdoor.strict_json import decode
from shared.domain.discount import MAX_SUBTOTAL

UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "number": b"5",
    "null": b"null",
    "array": b"[]",
    "text": b'"code"',
    "byte order mark": b'\xef\xbb\xbf{"code":"A","order_id":"1"}',
    "UTF-16": '{"code":"A","order_id":"1"}'.encode("utf-16"),
    "truncated": b'{"code":"A","order_',
    "trailing": b'{"code":"A","order_id":"1"}{}',
    "trailing comma": b'{"code":"A","order_id":"1",}',
    "single quotes": b"{'code':'A'}",
    "deep array": b"[" * 100_000,
    "NaN": b'{"code":"A","order_id":"1","subtotal":NaN}',
    "Infinity": b'{"code":"A","order_id":"1","subtotal":Infinity}',
    "lone surrogate, escaped": b'{"code":"\\ud800","order_id":"1"}',
    "lone low surrogate, escaped": b'{"code":"\\udc00","order_id":"1"}',
    "lone surrogate, encoded": b'{"code":"\xed\xa0\x80","order_id":"1"}',
    "lone surrogate in a name": b'{"code":"A","order_id":"1","\\ud800":1}',
    "raw NUL": b'{"code":"A\x00","order_id":"1"}',
    "bad UTF-8": b'{"code":"\xff","order_id":"1"}',
    "bad UTF-8 in a name": b'{"code":"A","order_id":"1","\xff":1}',
    "overlong NUL": b'{"code":"\xc0\x80","order_id":"1"}',
}

UNFITTING: dict[str, tuple[str, str]] = {
    # what: (body, the field that the answer names)
    "no code": ('{"order_id":"1"}', "code"),
    "no order": ('{"code":"A"}', "order_id"),
    "unknown field": ('{"code":"A","order_id":"1","limit":9}', "limit"),
    "unknown and deep": ('{"code":"A","order_id":"1","x":' + "[" * 100_000, "x"),
    "code is a number": ('{"code":5,"order_id":"1"}', "code"),
    "code is null": ('{"code":null,"order_id":"1"}', "code"),
    "code is an object": ('{"code":{},"order_id":"1"}', "code"),
    "code is empty": ('{"code":"","order_id":"1"}', "code"),
    "code is 10 KiB": ('{"code":"' + "A" * 10_240 + '","order_id":"1"}', "code"),
    "order is empty": ('{"code":"A","order_id":""}', "order_id"),
    "order is too long": ('{"code":"A","order_id":"' + "1" * 201 + '"}', "order_id"),
    "order with NUL": ('{"code":"A","order_id":"1\\u0000"}', "order_id"),
    "order with newline": ('{"code":"A","order_id":"1\\n2"}', "order_id"),
    "order with zero-width space": ('{"code":"A","order_id":"1\u200b2"}', "order_id"),
    "order with direction override": ('{"code":"A","order_id":"1\u202e2"}', "order_id"),
    "user with NUL": ('{"code":"A","order_id":"1","user_id":"u\\u0000"}', "user_id"),
    "user is empty": ('{"code":"A","order_id":"1","user_id":""}', "user_id"),
    "user is too long": ('{"code":"A","order_id":"1","user_id":"' + "u" * 257 + '"}', "user_id"),
    "bool for int": ('{"code":"A","order_id":"1","subtotal":true}', "subtotal"),
    "text for int": ('{"code":"A","order_id":"1","subtotal":"5"}', "subtotal"),
    "float for int": ('{"code":"A","order_id":"1","subtotal":1.0}', "subtotal"),
    "negative": ('{"code":"A","order_id":"1","subtotal":-1}', "subtotal"),
    "beyond any cart": ('{"code":"A","order_id":"1","subtotal":1000000000001}', "subtotal"),
    "beyond bigint": ('{"code":"A","order_id":"1","subtotal":9223372036854775808}', "subtotal"),
    "2^64": ('{"code":"A","order_id":"1","subtotal":18446744073709551616}', "subtotal"),
    "5,000 digits": ('{"code":"A","order_id":"1","subtotal":' + "9" * 5_000 + "}", "subtotal"),
    "1e400": ('{"code":"A","order_id":"1","subtotal":1e400}', "subtotal"),
    "code twice": ('{"code":"A","order_id":"1","code":"B"}', "code"),
    "code twice alike": ('{"code":"A","order_id":"1","code":"A"}', "code"),
    "null twice": ('{"code":"A","order_id":"1","user_id":null,"user_id":null}', "user_id"),
    "null, then not": ('{"code":"A","order_id":"1","subtotal" : null,"subtotal" : 5}', "subtotal"),
    # Each escaped mark hides one of those that the repeated field adds.
    "twice, behind escaped marks": ('{"order_id":"' + "\\u0022" * 4 + '","code":"A","code":"B"}', "code"),
    "twice, once in escapes": ('{"c\\u006fde":"A","order_id":"1","code":"B"}', "code"),
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_json_object_is_body_invalid(raw: bytes) -> None:
    problem = redeem_body(raw)
    assert isinstance(problem, Problem)
    assert (problem.status, problem.code) == (400, "body_invalid")
    assert json.loads(body(problem))["detail"]


@pytest.mark.parametrize(("text", "field"), UNFITTING.values(), ids=UNFITTING)
def test_a_field_that_does_not_fit_is_named(text: str, field: str) -> None:
    problem = redeem_body(text.encode())
    assert isinstance(problem, Problem)
    assert (problem.status, problem.code) == (400, "field_invalid")
    assert dict(problem.extra) == {"field": field}
    assert field in problem.detail


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"code":"A","order_id":"1"}', RedeemBody("A", "1")),
        ('{"code":" a ","order_id":"1","user_id":"u","subtotal":0}', RedeemBody(" a ", "1", "u", 0)),
        ('{"code":"A","order_id":"1","user_id":null,"subtotal":null}', RedeemBody("A", "1")),
        ('{"code":"A","order_id":"1","subtotal":1000000000000}', RedeemBody("A", "1", None, MAX_SUBTOTAL)),
        ('{"code":"\\"A\\"","order_id":"\\u0031"}', RedeemBody('"A"', "1")),
        ('{"code":"code","order_id":"order_id\\"code\\""}', RedeemBody("code", 'order_id"code"')),
        ('{"code":"🎉","order_id":"Ж-1"}', RedeemBody("🎉", "Ж-1")),
        ('{"code":"A","order_id":"1","user_id":"{}:\\n"}', RedeemBody("A", "1", "{}:\n")),
        ('{"code":"A\\u0000","order_id":"1"}', RedeemBody("A\0", "1")),  # no code is like that: the look-up says 404
    ],
)
def test_a_good_redeem_body_is_read_as_it_was_meant(text: str, read: RedeemBody) -> None:
    assert redeem_body(text.encode()) == read


def test_a_very_long_name_is_shown_shortened() -> None:
    problem = redeem_body(b'{"code":"A","order_id":"1","' + b"z" * 15_000 + b'":1}')
    assert isinstance(problem, Problem)
    assert len(problem.detail) < 200


_values: st.SearchStrategy[Any] = (
    st.none() | st.text(max_size=3) | st.integers(0, 3) | st.booleans() | st.just(float("nan")) | st.just([])
)
_names = st.sampled_from(["code", "order_id", "user_id", "subtotal", "x"])


@given(st.lists(st.tuples(_names, _values), max_size=6), st.booleans())
def test_a_field_given_twice_never_passes(members: list[tuple[str, Any]], spelled: bool) -> None:
    text = ", ".join(f"{json.dumps(name)} : {json.dumps(value, ensure_ascii=spelled)}" for name, value in members)
    read = redeem_body(f"{{{text}}}".encode(errors="surrogatepass"))
    names = [name for name, _ in members]
    if len(set(names)) < len(names):
        assert isinstance(read, Problem)
    elif isinstance(read, RedeemBody):
        given_ = dict(members)
        assert (read.code, read.order_id) == (given_["code"], given_["order_id"])
        assert (read.user_id, read.subtotal) == (given_.get("user_id"), given_.get("subtotal"))


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    for read in (redeem_body, validate_body, release_body):
        answer = read(raw)
        assert not isinstance(answer, Problem) or body(answer)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"code":"A","cart_id":"\\u0000"}', "cart_id"),
        ('{"code":"A","order_id":"\\u0007"}', "order_id"),
        ('{"code":"A","applied_codes":["B",5]}', "applied_codes[1]"),
        ('{"code":"A","applied_codes":"B"}', "applied_codes"),
        ('{"code":"A","applied_codes":[' + ",".join(['"B"'] * 51) + "]}", "applied_codes"),
        ('{"code":"A","subtotal":-1}', "subtotal"),
        ('{"code":"A","user_id":""}', "user_id"),
        ('{"code":"A","user_id":"\\u0000"}', "user_id"),
        ('{"code":"A","attrs":[]}', "attrs"),
        ('{"code":"A","attrs":{"a":1,"a":2}}', "a"),
        ('{"code":"A","first_order":1}', "first_order"),
        ('{"code":"A","customer":"u"}', "customer"),
    ],
)
def test_validate_names_the_field(text: str, field: str) -> None:
    problem = validate_body(text.encode())
    assert isinstance(problem, Problem)
    assert dict(problem.extra) == {"field": field}


def test_validate_takes_a_cart() -> None:
    raw = b'{"code":"A","cart_id":"c1","subtotal":500,"order_id":"o1","applied_codes":["B","B"]}'
    assert validate_body(raw) == ValidateBody("A", "c1", 500, "o1", ("B", "B"))


@pytest.mark.parametrize("reason", ["failure", "refund"])
def test_release_has_two_reasons(reason: str) -> None:
    assert release_body(json.dumps({"reason": reason}).encode()) == ReleaseBody(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["{}", '{"reason":"expiry"}', '{"reason":5}', '{"reason":"refund","reason":"refund"}'])
def test_release_has_no_other_reason(text: str) -> None:
    problem = release_body(text.encode())
    assert isinstance(problem, Problem)
    assert dict(problem.extra) == {"field": "reason"}


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    value: int


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    inner: Inner
    value: int | None = None


def test_decode_reads_any_type() -> None:
    assert decode(b'{"inner":{"value":1},"value":2}', Outer) == Outer(Inner(1), 2)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"inner":{"value":1,"value":1}}', "value"),
        ('{"inner":{"value":"x"}}', "inner.value"),
        ('{"inner":{}}', "inner.value"),
        ('{"inner":{"value":1,"x":1}}', "inner.x"),
        ('{"inner":{"value":1},"value":null,"value":null}', "value"),
    ],
)
def test_decode_names_the_path_of_a_fault(text: str, field: str) -> None:
    problem = decode(text.encode(), Outer)
    assert isinstance(problem, Problem)
    assert dict(problem.extra) == {"field": field}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json;v=1",
    ],
)
@pytest.mark.parametrize("encoding", [None, "identity", " Identity"])
def test_json_in_utf_8_is_read(content_type: str, encoding: str | None) -> None:
    assert media_problem(content_type, encoding) is None


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        (None, None),
        ("", None),
        ("text/plain", None),
        ("application/jsonx", None),
        ("application/x-www-form-urlencoded", None),
        ("application/json; charset=foo", None),
        ("application/json; charset", None),
        ("application/json; charset=utf-8; charset=utf-16", None),
        ("application/json", "gzip"),
        ("application/json", "identity, gzip"),
        ("application/json", ""),
    ],
)
def test_anything_else_is_415(content_type: str | None, encoding: str | None) -> None:
    problem = media_problem(content_type, encoding)
    assert problem is not None
    assert (problem.status, problem.code) == (415, "media_type_unsupported")


@pytest.mark.parametrize("key", ["a", "a" * 255, "8e03978e-40d5-43dd-bc93-6894a57f9324", '"quoted"', "with space", "{}:~"])
def test_a_printable_key_is_taken_as_it_is(key: str) -> None:
    assert idempotency_key([key]) == key


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([], KEY_MISSING),
        ([""], KEY_INVALID),
        (["a" * 256], KEY_INVALID),
        (["a" * 10_240], KEY_INVALID),
        (["a", "b"], KEY_INVALID),
        (["a", "a"], KEY_INVALID),
        (["a\tb"], KEY_INVALID),
        (["a\0b"], KEY_INVALID),
        (["schlüssel"], KEY_INVALID),
        (["\udcff"], KEY_INVALID),
    ],
)
def test_a_missing_key_and_a_bad_key_are_told_apart(values: list[str], problem: Problem) -> None:
    assert idempotency_key(values) is problem


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], 2.0),
        (["wait=5"], 5.0),
        (["wait=0"], 0.0),
        (['Wait = "5" ; x=y'], 5.0),
        (["wait=1000000000"], 30.0),
        (["wait=" + "9" * 5_000], 30.0),
        (["wait=3", "wait=7"], 3.0),
        (["wait=3, wait=7"], 3.0),
        (["respond-async"], 0.0),
        (["respond-async, wait=10"], 10.0),
        (["return=minimal"], 2.0),
        # What cannot be met is ignored (RFC 7240, section 2).
        (["wait=-1"], 2.0),
        (["wait=1e9"], 2.0),
        (["wait=1.5"], 2.0),
        (["wait=soon"], 2.0),
        (["wait=\u0663"], 2.0),
        (["wait"], 2.0),
        (["", ",;=,\udcff"], 2.0),
    ],
)
def test_prefer_says_how_long_to_wait(values: list[str], wanted: float) -> None:
    assert preferred_wait(values) == wanted


@pytest.mark.parametrize(("text", "wait_s"), [(None, 0.0), ("0", 0.0), ("5", 5.0), ("31", 30.0), ("9" * 5_000, 30.0)])
def test_a_poll_waits_at_most_half_a_minute(text: str | None, wait_s: float) -> None:
    assert wait_query(text) == wait_s


@pytest.mark.parametrize("text", ["", "-1", "1e9", "5s", "nan", "inf", "\u0663", " 5"])
def test_a_wait_that_is_no_number_is_a_fault(text: str) -> None:
    problem = wait_query(text)
    assert isinstance(problem, Problem)
    assert problem.code == "field_invalid"


def test_ids_in_paths_are_read_only_as_they_are_written() -> None:
    text = "6f0c9d8e-52a5-5b0c-9a53-0d6d9b8a6a11"
    assert str(path_id(text)) == text
    for other in (text.upper(), f"{{{text}}}", f"urn:uuid:{text}", text.replace("-", ""), text + "\n", "..", "", "\0", "%ff"):
        assert path_id(other) is None


def test_order_ids_in_paths_keep_the_rule_of_the_bodies() -> None:
    assert path_order_id("ord/../1 ü") == "ord/../1 ü"
    for other in ("", "1" * 201, "a\0b", "a\nb", "\udcff"):
        assert isinstance(path_order_id(other), Problem)
