"""Who types: a name for what is written down of it."""

import os
import pwd


def account() -> str:
    """The account that this runs as; its number where it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
