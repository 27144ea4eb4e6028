"""A memory with room for so many: what was put there the longest ago is forgotten first. Pure.

It is two plain dictionaries, of which the older is forgotten as a whole once the newer has half of what there is room for:
one that keeps its keys in the order of their use takes half as much again for each of them, and longer.
"""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Latest(Generic[K, V]):
    """The values of at most `most` keys, and of no fewer than half as many as were put there last."""

    __slots__ = ("_half", "_newer", "_older")

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._newer: dict[K, V] = {}
        self._older: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._newer.keys() | self._older.keys())

    def get(self, key: K) -> V | None:
        """The value of `key`; None when there is none, or it is forgotten."""
        value = self._newer.get(key)
        return self._older.get(key) if value is None else value

    def put(self, key: K, value: V) -> None:
        """Remember the value of `key` from now on."""
        if len(self._newer) >= self._half and key not in self._newer:
            self._older, self._newer = self._newer, {}
        self._newer[key] = value
