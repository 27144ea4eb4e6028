"""Lua lives in files of its own, one script each, loaded by name. A file's header says its keys, arguments and answer."""

from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """The text of `name`.lua, behind what all of them begin with."""
    return "".join(files(__name__).joinpath(f"{part}.lua").read_text() for part in ("prelude", name))
