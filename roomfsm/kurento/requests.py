"""Matches replies to requests, holds the calls that still wait for a reply, and counts how they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import trio

from roomfsm.histogram import Histogram
from roomfsm.jsonrpc import Params, Request, Response
from roomfsm.kurento.errors import MediaServerError, from_reply


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    REFUSED = "refused"
    """The media server answered with an error."""
    TIMEOUT = "timeout"
    LOST = "lost"
    """The connection or the session was lost before the answer came."""
    CANCELLED = "cancelled"
    """Nobody waits for the answer any more."""


@dataclass(eq=False, slots=True)
class Call:
    """One request and its outcome. Times are those of Trio's clock.

    `orphaned` is called with the result if the caller has been cancelled before the result arrives.
    """

    request: Request
    issued_at: float = field(default_factory=trio.current_time)
    sent_at: float | None = None
    answered: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    error: MediaServerError | None = None
    abandoned: bool = False
    orphaned: Callable[[Any], None] | None = None
    counted: bool = False
    """Whether its end has been counted."""

    @property
    def asked(self) -> tuple[str, str]:
        """The method, and for `invoke` the operation, else an empty text."""
        return self.request.method, str((self.request.params or {}).get("operation", ""))

    def unwrap(self) -> Any:
        """The result of an answered call. Raises the call's error if it has one."""
        if self.error is not None:
            raise self.error
        return self.result

    def orphan(self) -> None:
        """Give the result to `orphaned`, because the reply came after the caller was cancelled."""
        if self.error is None and self.orphaned is not None:
            self.orphaned(self.result)


class CallCounts:
    """How many requests were made to the media servers of a pool, how they ended, and how long answers took."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[tuple[str, str], str]] = Counter()
        """Requests by what was asked (`Call.asked`) and outcome."""
        self.seconds: dict[tuple[str, str], Histogram] = {}
        """Seconds until the answer, by what was asked, of the requests that got one."""

    def _ended(self, call: Call, outcome: Outcome) -> None:
        """Count the end of a request. Only its first end counts."""
        if call.counted:
            return
        call.counted = True
        asked = call.asked
        self.outcomes[asked, outcome] += 1
        if outcome in (Outcome.OK, Outcome.REFUSED):
            if asked not in self.seconds:
                self.seconds[asked] = Histogram()
            self.seconds[asked].observe(trio.current_time() - call.issued_at)


class PendingCalls:
    """The calls that wait for a reply, the oldest first."""

    def __init__(self, counts: CallCounts | None = None) -> None:
        self._counts = counts or CallCounts()
        self._calls: dict[object, Call] = {}

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def add(self, request_id: int, method: str, params: Params) -> Call:
        call = Call(Request(request_id, method, params))
        self._calls[request_id] = call
        return call

    def discard(self, call: Call, outcome: Outcome = Outcome.CANCELLED) -> None:
        """Forget a call. If it still waits for its reply, it ended in this way."""
        if self._calls.pop(call.request.id, None) is not None:
            self._counts._ended(call, outcome)

    def timed_out(self, call: Call) -> None:
        """Note that the caller does not wait any longer. The call may still be settled."""
        self._counts._ended(call, Outcome.TIMEOUT)

    def settle(self, response: Response) -> bool:
        """Give a reply to its call. Returns False if no call with that id waits."""
        call = self._calls.pop(response.id, None)
        if call is None:
            return False
        if response.error is not None:
            call.error = from_reply(response.error)
        else:
            call.result = response.result
        self._counts._ended(call, Outcome.OK if call.error is None else Outcome.REFUSED)
        call.answered.set()
        if call.abandoned:
            call.orphan()
        return True

    def fail_all(self, make_error: Callable[[], MediaServerError]) -> None:
        """End every waiting call with an error. `make_error` is called once for each of them."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.error = make_error()
            self._counts._ended(call, Outcome.LOST)
            call.answered.set()
