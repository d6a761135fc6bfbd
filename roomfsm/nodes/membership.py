"""This server as one of several nodes: it joins them, renews its lease, and knows on which node each room lives.

One task beats three times in the time of a lease. Each beat tells the others how many people and rooms are here,
and is answered with all nodes and with the rooms that this node is to take up. Whoever sees a node whose lease is
over reaps it, unless its own beats were not answered lately: then Redis may have been away, the others could not
renew their leases either, and need a moment for that.

What this node knows is always a little old. So nothing relies on it: Redis decides on each home
(`roomfsm.nodes.scripts`) and refuses each write to a room that lives elsewhere (`roomfsm.store.redis`). The node's
own clock only says when it must stop to promise anything. It counts from the moment in which a beat was *sent*, so
it is never later than Redis.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Protocol

import trio

from roomfsm import __version__
from roomfsm.kurento.owner import has_ended, this_instance
from roomfsm.lifecycle.node import NODE, NodeEffect
from roomfsm.lifecycle.table import Step
from roomfsm.log import get_logger
from roomfsm.nodes.counts import MISSED, RENEWED, NodeCounts
from roomfsm.nodes.ledger import Forgotten, Info, Ledger, Namesake, Reaped, Seen, open_ledger
from roomfsm.nodes.life import NodeLife
from roomfsm.nodes.settings import NodeSettings
from roomfsm.store.interface import StoreCode, StoreError
from roomfsm.store.redis import Fence

_log = get_logger(__name__)

_BEATS = 3
"""So many beats are sent in the time of one lease."""
_OPENING = 5.0
"""Seconds in which Redis must answer each time at the start."""
_GOODBYE = 1.0
"""Seconds that the end gives Redis to pass this node's rooms on."""
_AGAIN = 0.05
"""The part of the lease after which we try again if a beat had no answer."""
_GAP = 0.5
"""If no beat was answered for this part of the lease, those of others may have had no answer, either."""
_MARGIN = 0.02
"""Seconds after the end of another node's lease at which we look whether it is over."""
_CROWD = 50
"""With fewer people than that more than another node, a room begins where it is asked for."""


class NameTaken(Exception):
    """Another node of this name is running."""


class Host(Protocol):
    """The program whose node this is. Nothing here waits."""

    def load(self) -> tuple[int, int]:
        """How many people and how many rooms are here."""

    def alike(self) -> str:
        """The fingerprint of the settings that all nodes must have alike."""

    def rooms(self) -> Iterable[str]:
        """The keys of the rooms that live here, with those that are being taken up."""

    def take_up(self, rooms: Sequence[str]) -> None:
        """Learn that rooms with these keys live here from now on. The store has them, or at least most."""

    def nodes_gone(self, nodes: Sequence[str]) -> None:
        """Learn that the nodes with these ids are over."""

    def give_up(self) -> None:
        """Learn that all rooms are other nodes'. When this returns, nothing may write for them any more."""

    def nodes_seen(self, nodes: Sequence[Seen]) -> None:
        """Learn which other nodes were alive at a beat."""

    def moved(self, step: Step) -> None:
        """Learn that the node's machine has moved."""


class Membership:
    """One node's place among the others."""

    def __init__(self, ledger: Ledger, settings: NodeSettings, host: Host, counts: NodeCounts) -> None:
        assert settings.node is not None
        self._name = settings.node
        self._lease = settings.node_lease
        self._ledger = ledger
        self._host = host
        self._process = this_instance()
        self.life = NodeLife()
        """The node's machine."""
        self._counts = counts
        self._fence: Fence | None = None
        self._registered = False
        """Whether Redis has registered this node, as far as we know."""
        self._old_id: str | None = None
        """The id with which we register again; None if we need a new one."""
        self._namesakes: dict[str, bytes | None] = {}
        """The signs of life of other nodes with our name, by their ids."""
        self._beats = 0
        self._held_until = -1.0
        self._steady_since = 0.0
        """Since when no answer to a beat was missing."""
        self._renewed = trio.Event()
        """Set when the lease is renewed."""
        self._hurry = trio.Event()
        """Set when the next beat should not wait for its time."""
        self._learned: Sequence[str] = ()
        """The rooms that the last beat had for us. The next one says that we have learned that."""
        self._seen: Sequence[Seen] = ()
        self._known: set[str] = set()
        """The ids of the other nodes that were ever seen, and not said to be gone."""
        self._problem: StoreCode | None = None

    @property
    def me(self) -> str:
        """This node's id. It is another one after the others have taken it for dead."""
        return self.fence.node

    @property
    def fence(self) -> Fence:
        """What each write of this node carries."""
        assert self._fence is not None, "the node has not joined"
        return self._fence

    @property
    def state(self) -> str:
        """The state of the node's machine."""
        return self.life.state

    @property
    def holds(self) -> bool:
        """Whether the lease is certainly not over, so that no other node can have this one's rooms."""
        return "lease" in NODE.state(self.state).owns and trio.current_time() < self._held_until

    @property
    def lease_left(self) -> float:
        """Seconds until the lease may be over, if no beat is answered; 0 if it may be over now."""
        return max(0.0, self._held_until - trio.current_time())

    @property
    def nodes(self) -> Sequence[Seen]:
        """The other nodes that were alive at the last beat."""
        return [one for one in self.others if one.alive]

    @property
    def others(self) -> Sequence[Seen]:
        """The other nodes that were registered at the last beat, alive or not."""
        return [one for one in self._seen if one.id != self.me]

    async def home_of(self, room: str) -> str:
        """The id of the node on which the room with this key lives, from now on if it lived nowhere.

        A new room begins here, unless another node has clearly more room, or this one drains. Raises `StoreError`.
        """
        tried: set[str] = set()
        with self._within(2 * self._lease):
            while True:
                with self._remembered():
                    answer = await self._ledger.home_of(self.fence.age, room, self._candidate(tried))
                if isinstance(answer, float):
                    await trio.sleep(answer)
                elif answer.alive:
                    return answer.node
                else:
                    tried.add(answer.node)
                    await self._see_to(answer.node)

    async def known_home(self, room: str) -> str | None:
        """The id of the node on which the room with this key lives; None if it lives nowhere.

        Raises `StoreError`.
        """
        with self._within(self._lease):
            return await self._ledger.known_home(room)

    async def home_of_token(self, token: bytes) -> str | None:
        """The id of the node to which the token with this hash brings somebody back; None if nobody has it.

        Raises `StoreError`.
        """
        with self._within(self._lease), self._remembered():
            found = await self._ledger.home_of_token(self.fence.age, token)
        if found is None:
            return None
        room, home = found
        return await self.home_of(room) if home is None else home

    async def hand_over(self, room: str, to: str) -> bool:
        """Make the node with this id the home of a room that lives here, to which nothing here writes any more.

        Returns whether it is. If not, the room does not live here, or that node is not alive. Raises `StoreError`.
        """
        with self._within(self._lease), self._remembered():
            return await self._ledger.hand_over(self.fence, room, to)

    async def let_go(self, room: str) -> bool:
        """Let a room live nowhere that lives here, and of which nothing is stored: nobody has entered it.

        Returns whether that was so. Raises `StoreError`.
        """
        with self._within(self._lease), self._remembered():
            return await self._ledger.hand_over(self.fence, room, None)

    def drain(self) -> None:
        """Take no more rooms from now on."""
        self._hear("drain")
        self.hurry()

    def hurry(self) -> None:
        """Beat at once, because there is something to tell the others or to learn from them."""
        self._hurry.set()

    async def join(self) -> None:
        """Register. Raises `StoreError` or `NameTaken`."""
        while not self._registered:
            wait = _MARGIN
            try:
                with suppress(Forgotten), self._within(_OPENING):
                    wait = await self._register()
            except NameTaken:
                self._fire("refused")
                raise
            await trio.sleep(wait)

    async def run(self) -> None:
        """Beat until the node is gone. It must have joined."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            while not NODE.state(self.state).final:
                self._hurry = trio.Event()
                next_one = trio.current_time() + self._lease / _BEATS
                wait = await self._take_turn()
                with trio.move_on_at(next_one if wait is None else min(next_one, trio.current_time() + wait)):
                    await self._hurry.wait()
            nursery.cancel_scope.cancel()

    async def leave(self) -> None:
        """Say goodbye: the rooms that are still here go to the others."""
        registered, fence = self._registered, self._fence
        self._hear("stop")
        if registered and fence is not None:
            try:
                with self._within(_GOODBYE):
                    await self._ledger.reap(fence.age, fence.node, for_sure=True)
            except (StoreError, Forgotten) as error:
                # The others will find out when the lease is over.
                _log.warning("left without a goodbye", node=fence.node, why=str(error))

    # The beats

    async def _take_turn(self) -> float | None:
        """Beat, or register. Returns the seconds after which the next turn is due, if that is soon."""
        try:
            with self._within(self._lease / _BEATS):
                return await (self._beat() if self._registered else self._register())
        except Forgotten:
            self._hear("forgotten")
        except Reaped:
            self._hear("reaped")
            self._hear("join_again")
        except NameTaken as error:
            _log.error("node cannot join again", why=str(error))
            self._hear("refused")
        except StoreError as error:
            self._counts.beats[MISSED] += 1
            if self._problem is not error.code:
                self._problem = error.code
                _log.error("no answer to a beat", code=error.code, detail=error.detail, mend=error.code.mend)
            return self._lease * _AGAIN
        except Exception:  # noqa: BLE001 (a boundary)
            # A fault in the library must not end the server: the lease runs out, and that is handled.
            self._counts.beats[MISSED] += 1
            _log.exception("beat failed")
            return self._lease * _AGAIN
        return 0.0

    async def _beat(self) -> float | None:
        sent = trio.current_time()
        self._beats += 1
        due, seen = await self._ledger.beat(self.fence, self._info(), self._beats, self._learned)
        self._counts.beats[RENEWED] += 1
        self._hold_from(sent)
        self._hear("beat")
        new = [room for room in due if room not in self._learned]
        self._learned, self._seen = due, seen
        self._host.nodes_seen(self.nodes)
        if new:
            self._host.take_up(new)
        if not self._steady:
            self._known |= {one.id for one in seen}
            return None
        self._tell_gone({one.id for one in seen})
        dead = [one.id for one in seen if not one.alive]
        for node in dead:
            _log.warning("node is dead", node=node)
            await self._ledger.reap(self.fence.age, node)
        return 0.0 if dead else None

    def _tell_gone(self, there: set[str]) -> None:
        gone = self._known - there - {self.me}
        self._known = there
        if gone:
            self._host.nodes_gone(sorted(gone))

    @property
    def _steady(self) -> bool:
        """Whether our beats were answered for so long that others could renew their leases, if they are alive."""
        return trio.current_time() - self._steady_since >= self._lease

    async def _register(self) -> float:
        """Ask for a place. Returns the seconds after which we have to ask once more, if so. Raises `NameTaken`."""
        before, sent = self._old_id, trio.current_time()
        answer = await self._ledger.register(self._info(), before, () if before is None else self._host.rooms())
        if isinstance(answer, Namesake):
            return await self._outwait(answer)
        self._fence, self._registered = answer, True
        self._namesakes.clear()
        self._hold_from(sent)
        self._steady_since = trio.current_time()
        self._hear("joined")
        return 0.0

    async def _outwait(self, other: Namesake) -> float:
        """Returns the seconds until we know more of a node with our name. Raises `NameTaken` if it runs."""
        if other.beat is None or has_ended(other.info.process) or other.info.process == self._process:
            await self._ledger.reap(other.age, other.id, for_sure=other.beat is not None)
            return 0.0
        if self._namesakes.setdefault(other.id, other.beat) != other.beat:
            raise NameTaken(f"another node is running that is called {self._name}, too ({other.id})")
        return min(max(other.left, 0.0), self._lease / _BEATS) + _MARGIN

    def _hold_from(self, sent: float) -> None:
        """Redis has answered a beat that was sent then."""
        now = trio.current_time()
        if now - (self._held_until - self._lease) > _GAP * self._lease:
            self._steady_since = now
        self._held_until = sent + self._lease
        if self._problem is not None:
            _log.info("beats are answered again", node=self.me)
            self._problem = None
        self._renewed.set()
        self._renewed = trio.Event()

    async def _watch(self) -> None:
        """Notice that the lease may be over, also while a beat waits for its answer."""
        while True:
            renewed = self._renewed
            await trio.sleep_until(self._held_until)
            if trio.current_time() >= self._held_until:
                self._hear("late")
                await renewed.wait()

    async def _see_to(self, node: str) -> None:
        """Somebody asks for a node whose lease is over."""
        self.hurry()
        if node == self.me:
            # Nobody has reaped us yet.
            await self._renewed.wait()
        elif not self._steady:
            await trio.sleep(self._lease * _AGAIN)
        else:
            with self._remembered():
                await self._ledger.reap(self.fence.age, node)

    # Parts of the above

    def _info(self) -> Info:
        people, rooms = self._host.load()
        drains = "places" not in NODE.state(self.state).owns
        return Info(self._name, people, rooms, drains, __version__, self._process, self._host.alike())

    def _candidate(self, tried: set[str]) -> str:
        """The node on which a new room begins, if it is not one of those that we have tried."""
        others = [one for one in self.nodes if not one.info.draining and one.id not in tried]
        if not others:
            return self.me
        best = min(others, key=lambda one: (one.info.people, one.id))
        mine = self._info()
        clearly = mine.people - best.info.people >= max(_CROWD, mine.people / 2)
        return best.id if mine.draining or clearly else self.me

    def _hear(self, trigger: str) -> None:
        """Act on what has happened, unless that means nothing any more, because the node has moved meanwhile."""
        if trigger in NODE.legal(self.state):
            self._fire(trigger)

    def _fire(self, trigger: str) -> None:
        step = self.life.fire(trigger)
        for effect in step.effects:
            match effect:
                case NodeEffect.CLAIM:
                    self._registered, self._old_id = False, self.me
                case NodeEffect.GIVE_UP:
                    self._registered = False
                    self._host.give_up()
                case NodeEffect.RENAME:
                    self._known.discard(self.me)
                    self._old_id, self._learned = None, ()
        if step.moved:
            _log.info("node", trigger=trigger, source=step.source, dest=step.dest)
            self._host.moved(step)

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Give Redis so many seconds. Raises `StoreError`."""
        try:
            with trio.fail_after(seconds):
                yield
        except trio.TooSlowError as error:
            raise StoreError(
                StoreCode.SLOW, f"{self._ledger.place} did not answer within {seconds:g} s"
            ) from error

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """Register again soon, if Redis has lost its data. Raises `StoreError`."""
        try:
            yield
        except Forgotten as error:
            self.hurry()
            raise StoreError(StoreCode.FORGOTTEN, f"{self._ledger.place} has lost its data") from error


@asynccontextmanager
async def open_membership(
    url: str, settings: NodeSettings, host: Host, counts: NodeCounts | None = None
) -> AsyncIterator[Membership]:
    """Join the nodes in the Redis at a URL. At the end of the scope, rooms that are still here go to the others.

    Raises `StoreError` or `NameTaken`.
    """
    fault: StoreError | NameTaken | None = None
    async with open_ledger(url, settings.node_lease) as ledger:
        membership = Membership(ledger, settings, host, counts or NodeCounts())
        try:
            await membership.join()
        except (StoreError, NameTaken) as error:
            fault = error
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(membership.run)
                try:
                    yield membership
                finally:
                    with trio.CancelScope(shield=True):
                        await membership.leave()
                    nursery.cancel_scope.cancel()
    if fault is not None:
        raise fault
