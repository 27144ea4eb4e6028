"""Logs: one line per event, JSON where machines read them and columns where people do.

The standard library's loggers (aiohttp, asyncpg, arq) come out of the same end, so that a process speaks one language.
"""

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.settings import Settings

#: What these say at `info` is a line per request or per job; only their warnings are news.
_TALKATIVE = ("aiohttp.access", "alembic", "arq", "asyncio")


def configure(process: str, settings: Settings) -> None:
    """Log to stderr as `settings` say; every line names the `process` (what it is) and its pid."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    enrich = _enriching(process)
    structlog.configure(
        processors=[*enrich, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=enrich, processors=_rendering(settings)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _enriching(process: str) -> list[Processor]:
    pid = os.getpid()

    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        event["pid"] = pid
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
    ]


def _rendering(settings: Settings) -> list[Processor]:
    if settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty()):
        # Plain tracebacks: the fancy ones print local variables, and with them tokens and connection strings.
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, console]
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
