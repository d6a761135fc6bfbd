"""The log of all that is no command: structlog's, if the program has configured it, else the standard library's.

The commands configure structlog (`roomfsm.program`). A program of somebody else that runs `open_server` may do so,
too; if it does not, structlog by itself would print to the standard output. So until structlog is configured, each
entry goes to the `logging` logger named after the module, as one line: the event, and its fields as `name=value`.
Whether it is configured is asked for each entry, because modules make their loggers when they are imported.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog


def get_logger(name: str) -> Any:
    """A logger with structlog's methods, `log.info(event, field=…)` and the like; `name` is the module's."""
    return _Logger(name, {})


class _Logger:
    def __init__(self, name: str, bound: dict[str, Any]) -> None:
        self._name = name
        self._bound = bound

    def bind(self, **fields: Any) -> _Logger:
        """The same logger, whose entries all have these fields, too."""
        return _Logger(self._name, {**self._bound, **fields})

    def __getattr__(self, method: str) -> Any:
        logger = structlog.get_logger(self._name) if structlog.is_configured() else _standard(self._name)
        return getattr(logger.bind(**self._bound), method)


def _standard(name: str) -> Any:
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _as_line],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _as_line(_: Any, __: str, entry: structlog.typing.EventDict) -> tuple[tuple[str, str], dict[str, Any]]:
    exc_info = entry.pop("exc_info", None)
    line = " ".join([str(entry.pop("event")), *(f"{name}={value!r}" for name, value in entry.items())])
    # By way of an argument: what a stranger wrote is never read as a format.
    return ("%s", line), {"exc_info": exc_info}
