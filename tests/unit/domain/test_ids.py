"""Claim ids are functions of who asks and of the key they chose, and of nothing else."""

from uuid import UUID, uuid4, uuid5

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import PARTITIONS, CampaignId, UserId, claim_id, home_partition, user_mark

names = st.text(st.characters(codec="utf-8"), max_size=12)

CLAIMS = UUID("6f0c9d8e-52a5-5b0c-9a53-0d6d9b8a6a11")


def test_a_colon_in_a_key_is_not_a_colon_in_a_user() -> None:
    assert claim_id(UserId("a"), "b:c") != claim_id(UserId("a:b"), "c")


def test_a_claim_id_is_the_same_on_every_machine() -> None:
    assert claim_id(UserId("usr_42"), "key-1") == UUID("f5b2f5d9-98ae-5628-8b46-81612378a831")


@given(names, names)
def test_a_claim_id_is_the_uuid_of_a_name_in_the_users_own_namespace(user: str, key: str) -> None:
    assert claim_id(UserId(user), key) == uuid5(uuid5(CLAIMS, user), key)


@given(st.tuples(names, names), st.tuples(names, names))
def test_claim_ids_are_equal_exactly_when_user_and_key_are(one: tuple[str, str], other: tuple[str, str]) -> None:
    same = claim_id(UserId(one[0]), one[1]) == claim_id(UserId(other[0]), other[1])
    assert same == (one == other)


def test_campaigns_spread_over_all_partitions() -> None:
    assert {home_partition(CampaignId(uuid4())) for _ in range(2_000)} == set(range(PARTITIONS))


def test_a_campaign_always_has_the_same_home() -> None:
    assert home_partition(CampaignId(UUID(int=7))) == home_partition(CampaignId(UUID(int=7)))


@given(names)
def test_a_mark_is_32_bits_of_the_user_alone(user: str) -> None:
    assert user_mark(UserId(user)) == user_mark(UserId(user))
    assert 0 <= user_mark(UserId(user)) < 2**32
