"""Correlation of requests and replies: ids that are never used twice, and what still waits for its reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from roomfsm.jsonrpc import Params, Request, Response
from roomfsm.kurento.errors import MediaServerError, from_reply


@dataclass(eq=False, slots=True)
class Call:
    """One request and its outcome; times are those of Trio's clock.

    `orphaned` is called with the result when the caller has gone by the time it comes.
    """

    request: Request
    issued_at: float = field(default_factory=trio.current_time)
    sent_at: float | None = None
    answered: trio.Event = field(default_factory=trio.Event)
    result: Any = None
    error: MediaServerError | None = None
    abandoned: bool = False
    orphaned: Callable[[Any], None] | None = None

    def unwrap(self) -> Any:
        """The result of an answered call; raises its error."""
        if self.error is not None:
            raise self.error
        return self.result

    def orphan(self) -> None:
        """The caller has gone and the reply is there: let go of what it made."""
        if self.error is None and self.orphaned is not None:
            self.orphaned(self.result)


class PendingCalls:
    """The calls that wait for a reply, oldest first."""

    def __init__(self) -> None:
        self._calls: dict[object, Call] = {}

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def add(self, request_id: int, method: str, params: Params) -> Call:
        call = Call(Request(request_id, method, params))
        self._calls[request_id] = call
        return call

    def discard(self, call: Call) -> None:
        self._calls.pop(call.request.id, None)

    def settle(self, response: Response) -> bool:
        """Hand a reply to its call; False when no call of that id waits."""
        call = self._calls.pop(response.id, None)
        if call is None:
            return False
        if response.error is not None:
            call.error = from_reply(response.error)
        else:
            call.result = response.result
        call.answered.set()
        if call.abandoned:
            call.orphan()
        return True

    def fail_all(self, make_error: Callable[[], MediaServerError]) -> None:
        """Every waiting call ends with an error of its own."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.error = make_error()
            call.answered.set()
