"""What is kept of an attempt has to fit into its row, whatever was typed."""

MAX_TYPED = 64


def storable(typed: str) -> str:
    """The beginning of what was typed, with a stand-in for each character that Postgres could not store."""
    kept = typed[:MAX_TYPED]
    # Neither NUL nor a lone surrogate is printable.
    return kept if kept.isprintable() else "".join("\N{REPLACEMENT CHARACTER}" if _odd(each) else each for each in kept)


def _odd(character: str) -> bool:
    return character == "\0" or "\ud800" <= character <= "\udfff"
