"""Matches replies to requests, and holds the calls that still wait for a reply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from roomfsm.jsonrpc import Params, Request, Response
from roomfsm.kurento.errors import MediaServerError, from_reply


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

    def unwrap(self) -> Any:
        """The result of an answered call. Raises the call's error if it has one."""
        if self.error is not None:
            raise self.error
        return self.result

    def orphan(self) -> None:
        """Give the result to `orphaned`, because the reply came after the caller was cancelled."""
        if self.error is None and self.orphaned is not None:
            self.orphaned(self.result)


class PendingCalls:
    """The calls that wait for a reply, the oldest first."""

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
        """Give a reply to its call. Returns False if no call with that id waits."""
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
        """End every waiting call with an error. `make_error` is called once for each of them."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.error = make_error()
            call.answered.set()
