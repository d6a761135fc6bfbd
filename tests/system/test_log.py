"""Each log entry follows structlog's present configuration, for which a logger is built only once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import CapturedCall, CapturingLogger, CapturingLoggerFactory, capture_logs

from roomfsm.log import get_logger


@pytest.fixture(autouse=True)
def configuration() -> Iterator[None]:
    """Resets structlog to the state of a program that has not configured it, and restores it afterwards."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


class Factory(CapturingLoggerFactory):
    """Counts the loggers that were built."""

    def __init__(self) -> None:
        super().__init__()
        self.built = 0

    def __call__(self, *args: Any) -> CapturingLogger:
        self.built += 1
        return super().__call__(*args)

    @property
    def calls(self) -> list[CapturedCall]:
        return self.logger.calls


def configure(level: int = logging.INFO) -> Factory:
    factory = Factory()
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
    )
    return factory


@pytest.mark.parametrize("fields", [{}, {"room": "blue"}])
def test_a_logger_is_built_once_for_a_configuration(fields: dict[str, str]) -> None:
    factory = configure()
    log = get_logger("roomfsm.rooms")
    log = log.bind(**fields) if fields else log
    for number in range(100):
        log.debug("nobody wants it", number=number)
        log.info("joined", number=number)
    assert factory.built == 1
    assert len(factory.calls) == 100


def test_an_entry_goes_to_where_the_newest_configuration_says(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("roomfsm.rooms").bind(room="blue")
    log.warning("first")
    old = configure()
    log.debug("not wanted")
    log.info("second", people=2)
    new = configure(logging.DEBUG)
    log.debug("third")
    with capture_logs() as captured:
        log.info("fourth")
    log.info("fifth")
    structlog.reset_defaults()
    log.warning("sixth")
    assert [record.getMessage() for record in caplog.records] == ["first room='blue'", "sixth room='blue'"]
    assert [call.args for call in old.calls] == [("room='blue' people=2 event='second'",)]
    assert [call.args for call in new.calls] == [("room='blue' event='third'",), ("room='blue' event='fifth'",)]
    assert [(entry["event"], entry["room"]) for entry in captured] == [("fourth", "blue")]


def test_a_part_of_the_configuration_may_be_changed() -> None:
    factory = configure()
    log = get_logger("roomfsm.rooms")
    log.debug("not wanted")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    log.debug("wanted")
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    log.debug("wanted")
    assert [call.args for call in factory.calls] == [("event='wanted'",), ('{"event": "wanted"}',)]


def test_the_standard_librarys_level_may_change_at_any_time(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("roomfsm.rooms")
    caplog.set_level(logging.WARNING, "roomfsm.rooms")
    log.info("not wanted")
    log.log(logging.INFO, "nor this")
    caplog.set_level(logging.DEBUG, "roomfsm.rooms")
    log.debug("wanted", percent="100 %s")
    try:
        raise ValueError("it went wrong")
    except ValueError:
        log.exception("failed")
    debug, failed = caplog.records
    assert (debug.getMessage(), debug.levelname) == ("wanted percent='100 %s'", "DEBUG")
    assert (failed.getMessage(), failed.levelname) == ("failed", "ERROR")
    assert failed.exc_info is not None
