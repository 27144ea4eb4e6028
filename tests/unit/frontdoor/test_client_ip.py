"""Only what our own proxies wrote is believed of where a request came from."""

import pytest
from multidict import CIMultiDict

from frontdoor.client_ip import client_ip

PEER = "10.0.0.1"


def seen_as(forwarded: list[str], trusted_proxies: int) -> str:
    headers = CIMultiDict([("X-Forwarded-For", field) for field in forwarded])
    return client_ip(PEER, headers, trusted_proxies)


def test_without_trusted_proxies_no_header_is_believed() -> None:
    assert seen_as(["203.0.113.7"], 0) == PEER


@pytest.mark.parametrize(
    ("forwarded", "proxies", "expected"),
    [
        (["203.0.113.7"], 1, "203.0.113.7"),
        (["203.0.113.7, 198.51.100.2"], 1, "198.51.100.2"),
        (["203.0.113.7, 198.51.100.2"], 2, "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7, 198.51.100.2"], 2, "203.0.113.7"),
        (["6.6.6.6", "203.0.113.7", "198.51.100.2"], 2, "203.0.113.7"),
        (["6.6.6.6, garbage", " 203.0.113.7 "], 1, "203.0.113.7"),
    ],
)
def test_entries_are_counted_from_the_right_over_all_fields(forwarded: list[str], proxies: int, expected: str) -> None:
    assert seen_as(forwarded, proxies) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:4711", "fe80::1"),
        ("2001:db8::1%\udcff\udcfe", "2001:db8::1"),
    ],
)
def test_an_entry_may_have_a_port_and_brackets_and_a_zone_which_is_nobodys_business(entry: str, expected: str) -> None:
    assert seen_as([entry], 1) == expected


@pytest.mark.parametrize(
    ("forwarded", "proxies"),
    [
        ([], 1),
        ([""], 1),
        (["203.0.113.7"], 2),
        (["unknown"], 1),
        (["203.0.113.7, _hidden"], 1),
        (["300.1.1.1"], 1),
        (["[::1"], 9),
    ],
)
def test_what_did_not_come_through_our_proxies_is_known_by_its_connection(forwarded: list[str], proxies: int) -> None:
    assert seen_as(forwarded, proxies) == PEER
