"""A memory with room for so many."""

from frontdoor.latest import Latest


def test_what_was_put_last_is_remembered_and_no_more_than_there_is_room_for() -> None:
    memory: Latest[int, str] = Latest(10)
    for number in range(1_000):
        memory.put(number, str(number))
        assert len(memory) <= 10
        last = range(max(0, number - 4), number + 1)
        assert [memory.get(each) for each in last] == [str(each) for each in last]
    assert memory.get(500) is None


def test_what_is_put_again_is_not_forgotten_with_its_neighbours() -> None:
    memory: Latest[int, str] = Latest(10)
    for number in range(1_000):
        memory.put(number, "a stranger")
        memory.put(-1, f"a friend, {number}")
    assert memory.get(-1) == "a friend, 999"


def test_a_key_has_the_value_that_it_was_given_last() -> None:
    memory: Latest[str, int] = Latest(4)
    for number in range(50):
        memory.put(f"{number % 3}", number)
    assert [memory.get(f"{number}") for number in range(3)] == [48, 49, 47]
    assert len(memory) == 3
