"""How codes are made: a pattern in which every # is drawn at random, and the space that leaves for guessing.

Random bytes come in as an argument; each character of the charset is equally likely. A pattern must leave at least a hundred
possible codes for each that exists, or codes would be found by trying.
"""

from itertools import islice

import msgspec

from shared.domain.code import Code, normal_form, spelling
from shared.domain.draft import Fault

#: Crockford's base32: no I, L, O or U, which people misread or mistype.
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DEFAULT_PATTERN = "#" * 12
SPARSENESS = 100


class Recipe(msgspec.Struct, frozen=True):
    """How codes are spelled: `template` is the spelling with # for each character that is drawn out of `charset`.

    `exact`: the spelling counts; if not, it is the normal form.
    """

    template: str
    charset: str
    exact: bool

    @property
    def drawn(self) -> int:
        """How many characters of a code are drawn."""
        return self.template.count("#")

    @property
    def space(self) -> int:
        """How many different codes there can be."""
        return int(len(set(self.charset.upper())) ** self.drawn)


def recipe(pattern: str | None, charset: str | None, prefix: str | None, *, exact: bool) -> Recipe | Fault:
    """The recipe for codes of a campaign; one that is not `exact` knows no lower case."""
    characters = CROCKFORD if charset is None else charset
    alphabet = "".join(dict.fromkeys(characters if exact else characters.upper()))
    at_fault = "prefix" if pattern is None and prefix else "pattern"
    if not all("!" <= character <= "~" for character in alphabet):
        return Fault("charset", "must hold printable ASCII characters only, and no space")
    if len(set(alphabet.upper())) < 2:
        return Fault("charset", "must hold at least two different characters")
    if "#" in (prefix or ""):
        return Fault("prefix", "must not hold #, which is the pattern's")
    written = (prefix or "") + (DEFAULT_PATTERN if pattern is None else pattern)
    normal = normal_form(written)
    if normal is None:
        return Fault(at_fault, "must make codes of 1 to 64 printable characters without spaces")
    if "#" not in normal:
        return Fault("pattern", "must hold at least one #, each of which becomes a random character")
    # Two codes would become one if what is drawn could be joined by an accent beside it.
    if any(normal_form(normal.replace("#", drawn)) != normal.replace("#", drawn.upper()) for drawn in alphabet):
        return Fault(at_fault, "must not hold accents that join what is drawn")
    return Recipe(spelling(written) if exact else normal, alphabet, exact)


def too_small(made_of: Recipe, codes: int) -> bool:
    """Whether `codes` codes would lie too densely in the recipe's space."""
    return made_of.space < SPARSENESS * codes


def bytes_for(made_of: Recipe, count: int) -> int:
    """How many random bytes are enough, nearly always, for `count` spellings."""
    kept = _kept(made_of.charset)
    return count * made_of.drawn if kept == 256 else count * made_of.drawn * 256 // kept * 21 // 20 + 64


def spellings(made_of: Recipe, random: bytes, count: int) -> list[str]:
    """At most `count` spellings out of `random`; fewer where it is too short. Some may be alike."""
    charset, kept = made_of.charset, _kept(made_of.charset)
    # Bytes beyond the last whole multiple of the charset's size would favour its first characters.
    table = bytes(ord(charset[number % len(charset)]) for number in range(256))
    drawn = iter(random.translate(table, bytes(range(kept, 256))).decode("ascii"))
    fill = made_of.template.replace("%", "%%").replace("#", "%c")
    width = made_of.drawn
    made = (fill % characters for characters in zip(*[drawn] * width, strict=False))
    return list(islice(made, count))


def code_of(spelled: str) -> Code:
    """The normal form of what a recipe spelled."""
    return Code(spelled.upper()) if spelled.isascii() else normal_form(spelled) or Code("")


def _kept(charset: str) -> int:
    return 256 - 256 % len(charset)
