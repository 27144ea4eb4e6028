"""A holder trusts its lease for less time than Postgres grants it."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import PartitionNo
from shared.domain.lease import Lease, trusted_until


def lease(until: float) -> Lease:
    return Lease(partition_no=PartitionNo(0), epoch=1, trusted_until=until)


def test_a_lease_is_trusted_until_its_instant_and_not_at_it() -> None:
    assert lease(10.0).trusted(9.999)
    assert not lease(10.0).trusted(10.0)
    assert not lease(10.0).trusted(10.001)


def test_a_slow_answer_does_not_extend_trust() -> None:
    # Asked at 100, answered at 102 by a server that counts its 3 seconds from then: trust still ends before 103.
    assert not lease(trusted_until(100.0, 3.0)).trusted(102.8)


@given(st.floats(0, 1e6), st.floats(0.3, 3600))
def test_trust_ends_before_the_lease_could(attempt_started: float, ttl_s: float) -> None:
    assert attempt_started < trusted_until(attempt_started, ttl_s) < attempt_started + ttl_s
