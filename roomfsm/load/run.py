"""Runs one load test: people come at an even rate, stay, talk, and leave at the end."""

from __future__ import annotations

import itertools
import random
import ssl
from collections.abc import Callable

import trio

from roomfsm.load.figures import Figures, Lines
from roomfsm.load.person import Person, Role, take_part
from roomfsm.load.plan import Plan

_SETTLE = 10.0
"""Seconds after which a line that was not told is missed."""


class LoadTest:
    """One load test."""

    def __init__(self, plan: Plan, url: str, tls: ssl.SSLContext | None) -> None:
        self.plan = plan
        self.figures = Figures()
        self._url = url
        self._tls = tls
        self._lines: Lines[Person] = Lines(self.figures)
        self._rooms: dict[str, set[Person]] = {plan.room(number): set() for number in range(plan.rooms)}
        self._stays: dict[str, trio.CancelScope] = {}
        """The scope of each person's present visit, by name."""
        self._ticked = trio.Event()

    async def run(self, tell: Callable[[float], None]) -> None:
        """Run the test. Each second, `tell` is called with the seconds so far."""
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick, began, tell)
            async with trio.open_nursery() as busy:
                for name in self._rooms:
                    if self.plan.chat_rate > 0:
                        busy.start_soon(self._talk, name)
                if self.plan.churn > 0:
                    busy.start_soon(self._churn)
                for number, role in enumerate(self._roles()):
                    await trio.sleep_until(began + number / self.plan.join_rate)
                    nursery.start_soon(self._come, role)
                await trio.sleep_until(began + self.plan.arrival + self.plan.seconds)
                busy.cancel_scope.cancel()
            # The last lines have their time, too.
            with trio.move_on_after(_SETTLE):
                while self._lines.outstanding:
                    await self._ticked.wait()
            self._lines.settle()
            nursery.cancel_scope.cancel()

    def _roles(self) -> list[Role]:
        """Who comes, in this order: first the presenters, so that the others have something to watch."""
        plan = self.plan
        return [
            Role(
                plan.room(room),
                f"{kind} {number}",
                presents=presents and plan.media,
                watches=not presents and plan.media,
                path=plan.path
                if plan.media and plan.is_poor(number * plan.rooms + room, presents=presents)
                else None,
            )
            for kind, count, presents in (("Presenter", plan.presenters, True), ("Viewer", plan.viewers, False))
            for number in range(count)
            for room in range(plan.rooms)
        ]

    async def _come(self, role: Role) -> None:
        """Be there until the test is over. Somebody who is made to leave comes again."""
        who, rate = f"{role.room} {role.name}", 1000 * self.plan.video_rate
        while True:
            with trio.CancelScope() as stay:
                self._stays[who] = stay
                await take_part(
                    self._url, self._tls, role, self.figures, self._lines, self._rooms[role.room], rate
                )
            if not stay.cancelled_caught:
                # The server did not let the person in, or ended the visit.
                del self._stays[who]
                return

    async def _talk(self, room: str) -> None:
        people = self._rooms[room]
        at = trio.current_time() + random.random() / self.plan.chat_rate
        while True:
            await trio.sleep_until(at)
            at = max(at, trio.current_time() - 1) + 1 / self.plan.chat_rate
            if people:
                speaker = random.choice(list(people))
                await speaker.say(self._lines.say(speaker, people, trio.current_time()))

    async def _churn(self) -> None:
        while True:
            await trio.sleep(60 / self.plan.churn)
            if self._stays:
                random.choice(list(self._stays.values())).cancel()

    async def _tick(self, began: float, tell: Callable[[float], None]) -> None:
        for second in itertools.count(1):
            await trio.sleep_until(began + second)
            self._lines.settle(trio.current_time() - _SETTLE)
            self.figures.tick()
            tell(second)
            self._ticked.set()
            self._ticked = trio.Event()
