"""The one normal form of a code, made here and nowhere else (the database never folds case)."""

import unicodedata
from typing import NewType

Code = NewType("Code", str)

MAX_CODE_LENGTH = 64


def normal_form(typed: str) -> Code | None:
    """What is stored, hashed and looked up for a code as a person typed it; None when it cannot be a code.

    Trimmed, compatibility-composed (full-width letters become plain ones), upper-cased. A code holds printable
    characters without inner white space, at most 64 of them.
    """
    if typed.isascii():
        code = typed.strip().upper()
    elif len(typed) <= MAX_CODE_LENGTH * 4:
        code = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", typed).strip().upper())
    else:
        return None
    if not 0 < len(code) <= MAX_CODE_LENGTH or not code.isprintable() or " " in code:
        return None
    return Code(code)


def spelling(typed: str) -> str:
    """A code as it was written, but for what no eye can tell apart: what exact campaigns compare after the look-up."""
    return unicodedata.normalize("NFKC", typed).strip()
