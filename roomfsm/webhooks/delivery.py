"""Delivers webhooks: those of one room in their order, those of different rooms side by side.

A room only puts a webhook into a queue, which never waits. For each room with waiting webhooks there is a task,
which sends the first one until it has arrived, and then the next. So a receiver that is slow or dead costs no room
anything but the queue, which is bounded: what does not fit is dropped, the log says so, and the next webhook of
that room says how many were dropped before it. A webhook that has been tried for long enough is dropped, too.

When the server ends, webhooks that wait get a last second. Waiting for a receiver never keeps the server alive.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio

from roomfsm import __version__
from roomfsm.http_client import HttpError, request
from roomfsm.log import get_logger
from roomfsm.webhooks.events import Json, RoomEvents, Webhook
from roomfsm.webhooks.settings import WebhookSettings, shown
from roomfsm.webhooks.signature import secret_of, signed

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""Seconds from a failed attempt to the next. Each pause is twice as long as the one before, up to the longest, and
is shortened at random by up to half, so that what failed together does not come again together."""
_LAST_SENDING = 1.0
"""How many seconds the server goes on sending when it ends."""
_TELL_AGAIN = 60.0
"""The log says at most once in so many seconds that webhooks of a receiver are dropped."""

_log = get_logger(__name__)


class Receiver:
    """One address that is told what happens."""

    def __init__(self, nursery: trio.Nursery, url: str, settings: WebhookSettings) -> None:
        self.url = url
        self.secrets = tuple(map(secret_of, settings.webhook_secret))
        self._parts = urlsplit(url)
        self._log = _log.bind(receiver=shown(url))
        self._nursery = nursery
        self._settings = settings
        self._rooms: dict[str, deque[Webhook]] = {}
        """The webhooks that wait, by the key of their room."""
        self._missing: dict[str, int] = {}
        """How many webhooks of a room were dropped since the last that waits or went."""
        self._places = trio.CapacityLimiter(settings.webhook_connections)
        self._scopes: set[trio.CancelScope] = set()
        self._idle = trio.Event()
        self._said_at = -_TELL_AGAIN
        self.waiting = 0
        self.delivered = 0
        self.dropped = 0

    def put(self, type_: str, room: str, data: Json) -> None:
        """Send a webhook soon. It never waits."""
        queue = self._rooms.get(room)
        of_room = 0 if queue is None else len(queue)
        if self.waiting >= self._settings.webhook_queue or of_room >= self._settings.webhook_room_queue:
            self._drop(room, 1, "too many wait")
            return
        if queue is None:
            queue = self._rooms[room] = deque()
            self._nursery.start_soon(self._serve, room, queue)
        queue.append(Webhook(type_, room, data, self._missing.pop(room, 0)))
        self.waiting += 1

    async def end(self) -> None:
        """Send what waits, for a moment, and then nothing more."""
        with trio.move_on_after(_LAST_SENDING, shield=True):
            while self._rooms:
                self._idle = trio.Event()
                await self._idle.wait()
        if self.waiting:
            self._log.error("webhooks lost at the end", lost=self.waiting)
        for scope in self._scopes:
            scope.cancel()

    async def _serve(self, room: str, queue: deque[Webhook]) -> None:
        # Rooms that close while the server is being cancelled tell their end, too. So a cancellation from outside
        # does not end the task: `end` does.
        with trio.CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            try:
                await self._send_all(queue)
            finally:
                self._scopes.discard(scope)
                del self._rooms[room]
                self._idle.set()

    async def _send_all(self, queue: deque[Webhook]) -> None:
        """Send the webhooks of a room, until none waits."""
        while queue:
            webhook = queue[0]
            arrived = await self._deliver(webhook)
            queue.popleft()
            self.waiting -= 1
            if arrived:
                self.delivered += 1
            elif queue:
                queue[0].dropped += 1 + webhook.dropped
                self._drop(None, 1, "the receiver fails")
            else:
                self._drop(webhook.room, 1 + webhook.dropped, "the receiver fails")

    async def _deliver(self, webhook: Webhook) -> bool:
        """Send a webhook until it arrives. Returns False if it was tried for long enough."""
        body = webhook.body()
        until = trio.current_time() + webhook.at + self._settings.webhook_retry - time.time()
        pause = _FIRST_PAUSE
        while True:
            failure = await self._attempt(webhook, body)
            if failure is None:
                return True
            wait = pause * random.uniform(0.5, 1)
            if trio.current_time() + wait > until:
                self._log.warning("webhook not delivered", id=webhook.id, type=webhook.type, why=failure)
                return False
            self._log.info("webhook failed, and is tried again", id=webhook.id, type=webhook.type, why=failure)
            await trio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _attempt(self, webhook: Webhook, body: bytes) -> str | None:
        """Send a webhook once. Returns why it has not arrived; None if it has."""
        async with self._places:
            headers = [
                ("Content-Type", "application/json"),
                ("User-Agent", f"roomfsm/{__version__}"),
                *signed(webhook.id, int(time.time()), body, self.secrets),
            ]
            with trio.move_on_after(self._settings.webhook_timeout):
                try:
                    answer = await request("POST", self._parts, headers, body)
                except HttpError as error:
                    return str(error)
                except Exception as error:  # noqa: BLE001 (a boundary)
                    # A mistake with one webhook must not end the delivery of the others.
                    self._log.exception("webhook failed")
                    return type(error).__name__
                return None if answer.good else f"the status is {answer.status}"
        return f"no answer in {self._settings.webhook_timeout:g} s"

    def _drop(self, room: str | None, missing: int, why: str) -> None:
        """Count a webhook that is dropped. If none waits that could say so, the next one of the `room` will."""
        self.dropped += 1
        if room is not None:
            self._missing[room] = self._missing.pop(room, 0) + missing
            if len(self._missing) > self._settings.webhook_queue:
                del self._missing[next(iter(self._missing))]
        now = trio.current_time()
        if now - self._said_at >= _TELL_AGAIN:
            self._said_at = now
            self._log.error("webhooks dropped", why=why, dropped=self.dropped, waiting=self.waiting)


class Webhooks:
    """All receivers. It is no work at all if there are none."""

    def __init__(self, receivers: Sequence[Receiver]) -> None:
        self.receivers = tuple(receivers)
        self.observers = (RoomEvents(self._send),) if self.receivers else ()
        """What follows the rooms for them."""

    def apply(self, settings: WebhookSettings) -> None:
        """Sign by the secrets of these settings from now on."""
        for receiver in self.receivers:
            receiver.secrets = tuple(map(secret_of, settings.webhook_secret))

    def _send(self, type_: str, room: str, data: Json) -> None:
        for receiver in self.receivers:
            receiver.put(type_, room, data)


@asynccontextmanager
async def open_webhooks(settings: WebhookSettings) -> AsyncIterator[Webhooks]:
    """Webhooks to the receivers of the settings. At the end, those that wait get a last second."""
    async with trio.open_nursery() as nursery:
        webhooks = Webhooks([Receiver(nursery, url, settings) for url in settings.webhook])
        try:
            yield webhooks
        finally:
            async with trio.open_nursery() as ending:
                for receiver in webhooks.receivers:
                    ending.start_soon(receiver.end)
