"""SQL lives in files of its own, one statement each, loaded by name. A file's header says what it is for and what it takes."""

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `name`.sql."""
    return files(__name__).joinpath(f"{name}.sql").read_text()
