"""Whatever is typed, the record of the attempt can be written."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.attempt import MAX_TYPED, storable

anything = st.text(st.characters(categories=None, exclude_categories=()), max_size=200)


@given(anything)
def test_what_is_kept_can_be_stored_and_is_bounded(typed: str) -> None:
    kept = storable(typed)
    assert "\0" not in kept
    assert len(kept) <= MAX_TYPED
    assert kept.encode().decode() == kept


@given(st.text(max_size=MAX_TYPED))
def test_what_postgres_can_store_is_kept_as_it_was_typed(typed: str) -> None:
    assert storable(typed) == typed.replace("\0", "\N{REPLACEMENT CHARACTER}")
