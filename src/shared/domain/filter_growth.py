"""When a filter's snapshot has fallen so far behind the codes that another is due."""

#: So many codes are read quickly whenever a door starts.
_WORTH_IT = 100_000


def rebuild_from(codes: int) -> int:
    """With how many codes behind a snapshot of `codes` codes another is due."""
    return max(_WORTH_IT, codes // 10)


def late_from(codes: int) -> int:
    """With how many codes behind it somebody must find out why there is no other."""
    return 2 * rebuild_from(codes)
