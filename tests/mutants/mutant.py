"""What a mutant is: the engine with one of its safeguards taken out, and the test that has to notice."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


class Edit(msgspec.Struct, frozen=True):
    """One change of the source. `old` stands there exactly once; `path` is relative to src."""

    path: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The text with the change. Raises DoesNotApply unless `old` is there exactly once."""
        found = text.count(self.old)
        if found != 1:
            raise DoesNotApply(f"{self.path} has {found} times: {self.old!r}")
        return text.replace(self.old, self.new)


class Mutant(msgspec.Struct, frozen=True):
    """`mistake`: the one it makes, of those that were seen elsewhere. `killed_by`: file below tests, and the test's name."""

    name: str
    mistake: str
    edits: tuple[Edit, ...]
    killed_by: str

    @property
    def test(self) -> str:
        """The test as pytest names it."""
        return f"tests/{self.killed_by}"

    def sources(self, source: Path = SOURCE) -> Mapping[str, str]:
        """What the files that it changes are to contain. Raises DoesNotApply."""
        texts: dict[str, str] = {}
        for edit in self.edits:
            text = texts.get(edit.path)
            texts[edit.path] = edit.applied((source / edit.path).read_text() if text is None else text)
        return texts


class DoesNotApply(Exception):
    """The source is not as the mutant thinks it is."""
