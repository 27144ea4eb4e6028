"""Codes in the memory of a front door: what they are never changes (see `shared.catalogue.KnownCode`), so it is never compared.

A code that does not exist is not remembered, for it may be minted at any moment.
"""

from collections import OrderedDict

from frontdoor.microbatch import MicroBatch
from shared.catalogue import KnownCode, codes_by_code
from shared.domain.code import Code
from shared.postgres import Pool, for_a_look


class CodeCache:
    """At most `most` codes that everybody types, and as many that are good for one claim: those cannot drive these out."""

    def __init__(self, pool: Pool, most: int) -> None:
        self._pool = pool
        self._most = most
        # A plain dict finds its first key by passing over all that were deleted before it.
        self._shared: OrderedDict[Code, KnownCode] = OrderedDict()
        self._single_use: OrderedDict[Code, KnownCode] = OrderedDict()
        self._found = MicroBatch(self._find)

    def peek(self, code: Code) -> KnownCode | None:
        """What `code` is, if it is in memory."""
        return self._shared.get(code) or self._single_use.get(code)

    async def find(self, code: Code) -> KnownCode | None:
        """What `code` is; None when there is no such code.

        Whoever asks in the same turn shares a look-up. Raises what `shared.postgres.NO_ANSWER` names.
        """
        return self.peek(code) or await self._found.get(code)

    async def _find(self, codes: list[Code]) -> dict[Code, KnownCode]:
        async with for_a_look(self._pool) as connection:
            found = await codes_by_code(connection, codes)
        for code, known in found.items():
            kept = self._single_use if known.single_use else self._shared
            kept[code] = known
            if len(kept) > self._most:
                kept.popitem(last=False)
        return found
