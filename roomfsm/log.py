"""The log of all that is no command: structlog's, if the program has configured it, else the standard library's.

The commands configure structlog (`roomfsm.program`). Another program that runs `open_server` may configure it,
too. If it does not, structlog would print to the standard output. So until structlog is configured, each entry
goes to the `logging` logger that is named after the module, as one line with the event and its fields as
`name=value`.

Modules make their loggers when they are imported, and structlog may be configured, or configured anew, at any time
after that. So each entry looks up structlog's configuration. Building a logger from it takes 5 to 10 µs, far more
than an entry whose level is not enabled. So a logger is kept for as long as the parts of the configuration are the
same objects.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
}


def get_logger(name: str) -> Any:
    """A logger with structlog's methods, such as `log.info(event, field=…)`. `name` is the name of the module."""
    return _Logger(name, {})


def concern(**ids: str) -> None:
    """Give all entries of this task from now on these fields, and those of the tasks that it starts.

    So an entry tells which room, session, stream or view it concerns, wherever in the program it is made.
    """
    structlog.contextvars.bind_contextvars(**ids)


def concern_only(**ids: str) -> None:
    """As `concern`, without the fields of the task that started this one.

    Trio gives a task the context of whoever starts it. But a room lives on when the person who opened it has gone.
    """
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**ids)


class _Logger:
    def __init__(self, name: str, bound: dict[str, Any]) -> None:
        self._name = name
        self._bound = bound
        self._standard = logging.getLogger(name)
        self._by_standard: Any = None
        """The logger that is used while structlog is not configured."""
        self._built: Any = None
        """The logger that was built from these parts of structlog's configuration:"""
        self._parts: tuple[object, ...] = (None, None, None, None)

    def bind(self, **fields: Any) -> _Logger:
        """The same logger, with additional fields in all its entries."""
        return _Logger(self._name, {**self._bound, **fields})

    def __getattr__(self, method: str) -> Any:
        if structlog.is_configured():
            return getattr(self._configured(), method)
        if method in _LEVELS and not self._standard.isEnabledFor(_LEVELS[method]):
            return _ignore
        if self._by_standard is None:
            self._by_standard = _as_structlogs(self._standard).bind(**self._bound)
        return getattr(self._by_standard, method)

    def _configured(self) -> Any:
        now = structlog.get_config()
        processors, wrapper_class, context_class, logger_factory = self._parts
        if (
            now["processors"] is processors
            and now["wrapper_class"] is wrapper_class
            and now["context_class"] is context_class
            and now["logger_factory"] is logger_factory
        ):
            return self._built
        self._built = structlog.get_logger(self._name).bind(**self._bound)
        self._parts = (now["processors"], now["wrapper_class"], now["context_class"], now["logger_factory"])
        return self._built


def _ignore(_event: str, **_fields: Any) -> None:
    """Ignore an entry whose level is not enabled."""


def _as_structlogs(logger: logging.Logger) -> Any:
    return structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _as_line],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _as_line(_: Any, __: str, entry: structlog.typing.EventDict) -> tuple[tuple[str, str], dict[str, Any]]:
    exc_info = entry.pop("exc_info", None)
    line = " ".join([str(entry.pop("event")), *(f"{name}={value!r}" for name, value in entry.items())])
    # The line is passed as an argument, so that text from strangers is never used as a format.
    return ("%s", line), {"exc_info": exc_info}
