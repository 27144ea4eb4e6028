"""What the caller of a store cannot expect. An expected refusal is a value (see `domain.outcomes`), not one of these."""


class LastslotError(Exception):
    """Something Lastslot cannot go on from; the default message is this sentence of the subclass."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class SettingInvalid(LastslotError):
    """A LASTSLOT_* environment variable does not say what it should."""


class StoreAway(LastslotError):
    """A store that is needed to begin with cannot be reached."""


class DurabilityOff(LastslotError):
    """Postgres runs with fsync or synchronous_commit off: an acknowledged claim could be lost. Turn both on."""


class SchemaMissing(LastslotError):
    """The database is not at this version's schema. Run `lastslot migrate`."""


class Fenced(LastslotError):
    """The partition has a newer owner; nothing was written."""


class IncarnationOver(LastslotError):
    """The partition's Redis state has begun another life, or has none; its owner must find out which."""


class ShortWrite(LastslotError):
    """Fewer rows were written than decided: the facts had moved. Rolled back, to be decided again."""


class RedisUnavailable(LastslotError):
    """Redis gave no answer; whether it acted is not known."""
