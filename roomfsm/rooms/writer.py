"""The writer: one task that commits what all rooms have noted, all together, again and again.

A commit takes as long for a hundred rooms as for one. So while one is under way, everything that rooms note waits
for the next one. A commit has a number, and so has everything that waits for it: what a room tells after it has
noted something is held back until that commit is done (`roomfsm.rooms.record`).

If a commit fails, nobody knows what the store has of its rooms. Their events are given up then, and each of these
rooms is *adrift*: its next write is a snapshot, which says everything that the events said. The writer tries that
again and again. While it does, rooms promise nothing new (`Record.keeps`). What they told before waits for the
store until `store_deadline` is over, and is sent then: the rooms go on for the people who are there. Only lines of
chat wait until they are kept, because people rely on what they have read. So memory is bounded in every case: by
the bounds of the queue, because no room takes another line once the store has failed, or because nothing is
queued.

A commit may find that a room is another server's (`roomfsm.store.interface`). Then its records are *disowned*.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from roomfsm.histogram import Histogram
from roomfsm.log import get_logger
from roomfsm.protocol.codec import Outgoing
from roomfsm.rooms.durable import Durable, Left, Returned, Said, Sat, encode, encode_snapshot
from roomfsm.rooms.record import NO_PAST, Describe, Ear, Hearer, NotOurs, Record
from roomfsm.rooms.untold import Untold
from roomfsm.store.interface import Append, Forget, Past, SetAside, Snapshot, Store, StoreCode, StoreError, Write
from roomfsm.store.settings import StoreSettings

_log = get_logger(__name__)

_AGAIN = 0.5
"""Seconds after which a store that has failed is tried again."""
_HEALING_BYTES = 4_000_000
"""About how many bytes of snapshots one commit has, after the store has failed for many rooms."""
_LAST = 2.0
"""Seconds that the end of the server gives the last commit."""
_SENDS = 500
"""So many messages that waited are sent in one turn. Then other tasks have theirs."""
_LOST_MORE = (StoreCode.CONFLICT, StoreCode.FORGOTTEN)
"""With these codes the store may have lost something of any room."""


class StoreCounts:
    """What has happened with the store since the server started."""

    def __init__(self) -> None:
        self.commits = Histogram()
        """Seconds that each commit took."""
        self.events = 0
        self.snapshots = 0
        self.failures: Counter[StoreCode] = Counter()
        self.came_back = 0
        """Rooms that the server took over from the store at its start."""
        self.set_aside = 0


@dataclass(slots=True)
class _Held:
    """What is told after one commit, and by which room."""

    told: deque[tuple[_StoreRecord, Hearer, Ear, Outgoing]] = field(default_factory=deque)
    ears: set[Ear] = field(default_factory=set)
    bytes: int = 0


class Writer:
    """Commits to one store. It gives rooms their records (implements `roomfsm.rooms.record.Records`)."""

    def __init__(self, store: Store, settings: StoreSettings, may_promise: Callable[[], bool]) -> None:
        self.store = store
        self.settings = settings
        self._may_promise = may_promise
        self.counts = StoreCounts()
        self._records: dict[_StoreRecord, None] = {}
        """Those of the rooms that have not ended."""
        self._changed: dict[_StoreRecord, None] = {}
        """Those with something to write, in the order in which it came."""
        self._writing: dict[_StoreRecord, None] = {}
        """Those whose writes the commit has that is under way."""
        self._work = trio.Event()
        self._progress = trio.Event()
        self.number = 1
        """The number of the commit that has what is noted now."""
        self.done = 0
        """The number of the last commit that is waited for no longer."""
        self._held: dict[int, _Held] = {}
        """What is told after each commit."""
        self.waiting = 0
        self.waiting_bytes = 0
        """How many events and messages wait, and their bytes."""
        self._newest: Outgoing | None = None
        self.problem: StoreError | None = None
        """Why rooms promise nothing at the moment; None if they do."""
        self._gives_up_at = 0.0
        self.gave_up = False
        """Whether nothing waits for the store, because it has failed for too long."""

    def record(self, key: str, past: Past = NO_PAST) -> Record:
        """The record of the room with this key, of which the store has this past."""
        record = _StoreRecord(self, key, past)
        self._records[record] = None
        return record

    @property
    def keeps(self) -> bool:
        """Whether what rooms promise now will be kept."""
        return self.problem is None and self._may_promise()

    @property
    def full(self) -> bool:
        """Whether so much waits that the rooms have to wait, too."""
        settings = self.settings
        return self.waiting >= settings.store_queue or self.waiting_bytes >= settings.store_queue_bytes

    async def until_not_full(self) -> None:
        while self.full:
            await self._progress.wait()

    async def until_done(self, number: int, record: Record | None = None) -> None:
        """Returns when this commit is done, or given up, or when this record is disowned."""
        while self.done < number and not (record is not None and record.disowned):
            await self._progress.wait()

    async def flush(self) -> None:
        """Returns when everything is kept that was noted so far, or is given up."""
        if self._changed:
            await self.until_done(self.number)
        await self.until_done(self.number - 1)

    async def flush_room(self, key: str) -> None:
        """Returns when everything that was noted of the room with this key is kept, or is given up."""
        while any(record.key == key for record in (*self._changed, *self._writing)):
            await self._progress.wait()

    def noted(self, record: _StoreRecord, size: int) -> int:
        """A record has something to write. Returns the number of the commit that will have it."""
        self.waiting += 1
        self.waiting_bytes += size
        self._changed[record] = None
        self._work.set()
        return self.number

    def turn_of(self, ear: Ear, number: int) -> int:
        """The commit after which this ear is told what waits for the commit with this number.

        It is a later one if another room has told the same person something that waits for that.
        """
        if max(self._held, default=0) <= number:
            return number
        later = (held_by for held_by, held in self._held.items() if held_by > number and ear in held.ears)
        return max(later, default=number)

    def hold(self, number: int, record: _StoreRecord, hearer: Hearer, ear: Ear, outgoing: Outgoing) -> None:
        """Send a message of this record's room after this commit."""
        self.waiting += 1
        held = self._held.get(number)
        if held is None:
            held = self._held[number] = _Held()
        held.told.append((record, hearer, ear, outgoing))
        held.ears.add(ear)
        if outgoing is not self._newest:
            # A message to many people is in memory once.
            self._newest = outgoing
            held.bytes += len(outgoing.payload)
            self.waiting_bytes += len(outgoing.payload)

    def ended(self, record: _StoreRecord) -> None:
        """A record notes nothing more."""
        self._records.pop(record, None)

    def disown_all(self) -> None:
        """The store has given all rooms to other servers. What is noted from now on is that of new rooms."""
        for record in {**self._records, **self._changed, **self._writing}:
            record.disown()

    def disown(self, key: str) -> None:
        """The store has given the room with this key to another server."""
        for record in {**self._records, **self._changed, **self._writing}:
            if record.key == key:
                record.disown()

    def disowned(self, record: _StoreRecord) -> None:
        """A record has nothing to write, because its room is another server's."""
        self._changed.pop(record, None)
        self.ended(record)
        _log.warning("room belongs to another server", room=record.key)
        # Whoever waits for what the room has noted waits no longer.
        self._progressed()

    async def run(self) -> None:
        """Commit what the rooms note."""
        while True:
            await self._work.wait()
            await self._commit()

    async def _commit(self) -> None:
        self._work = trio.Event()
        batch, writes, all_of_them = self._gather()
        self._writing = batch
        number, self.number = self.number, self.number + 1
        began = time.perf_counter()
        started = trio.current_time()
        try:
            with trio.fail_after(self.settings.store_deadline):
                lost = await self.store.commit(writes)
        except StoreError as error:
            await self._failed(batch, error, started)
        except trio.TooSlowError:
            detail = f"{self.store.place} did not answer within {self.settings.store_deadline} s"
            await self._failed(batch, StoreError(StoreCode.SLOW, detail), started)
        except Exception as error:  # noqa: BLE001 (a boundary)
            # A fault in the store or its library must not end the rooms.
            _log.exception("commit failed", place=self.store.place)
            await self._failed(batch, StoreError(StoreCode.FAILED, repr(error)), started)
        else:
            self.counts.commits.observe(time.perf_counter() - began)
            for record in batch:
                if record.key in lost:
                    record.disown()
                else:
                    await self._kept(record)
            if self.problem is not None and all_of_them:
                self._mended()
            if self.problem is None:
                await self._release(number)
        finally:
            self._writing = {}

    def _gather(self) -> tuple[dict[_StoreRecord, None], list[Write], bool]:
        """The records whose writes the next commit has, these writes, and whether they are all that there is.

        What came first is written first. After a failure there may be a snapshot of each room, and not all of them
        are made at once.
        """
        batch: dict[_StoreRecord, None] = {}
        writes: list[Write] = []
        size = 0
        while self._changed and (self.problem is None or size < _HEALING_BYTES):
            record = next(iter(self._changed))
            del self._changed[record]
            batch[record] = None
            for write in self._writes_of(record):
                writes.append(write)
                if isinstance(write, Snapshot):
                    self.counts.snapshots += 1
                    size += len(write.snapshot)
                elif isinstance(write, Append):
                    self.counts.events += len(write.events)
        if self._changed:
            self._work.set()
        return batch, writes, not self._changed

    def _writes_of(self, record: _StoreRecord) -> list[Write]:
        try:
            return record.writes()
        except Exception:  # noqa: BLE001 (a boundary)
            # A fault in one room's description must not end the others.
            _log.exception("room not kept any more", room=record.key)
            self.counts.set_aside += 1
            return [record.break_off()]

    async def _kept(self, record: _StoreRecord) -> None:
        """What the record has written is kept."""
        for sent, (hearer, outgoing) in enumerate(record.kept(), 1):
            # Whoever has left the room meanwhile hears no more of it.
            if record.tokens_of(hearer.participant_id):
                hearer.hear(outgoing)
            if sent % _SENDS == 0:
                await trio.lowlevel.checkpoint()

    async def _release(self, number: int) -> None:
        """Send everything that waited for this commit or an earlier one."""
        sent = 0
        while (earliest := min(self._held, default=number + 1)) <= number:
            told = self._held[earliest].told
            # What is told meanwhile waits behind the rest.
            while told:
                record, hearer, ear, outgoing = told.popleft()
                if record.disowned or hearer.ear != ear:
                    # The room is another server's, or the person is at another one, or has come back and knows it.
                    continue
                if self.gave_up:
                    record.tell_unkept(hearer, ear, outgoing)
                else:
                    ear(outgoing)
                sent += 1
                if sent % _SENDS == 0:
                    await trio.lowlevel.checkpoint()
            del self._held[earliest]
            self.done = max(self.done, earliest)
        self.done = number
        held = self._held.values()
        self.waiting = sum(len(one.told) for one in held) + sum(record.waiting for record in self._changed)
        self.waiting_bytes = sum(one.bytes for one in held) + sum(record.waiting_bytes for record in self._changed)
        self._newest = None
        self._progressed()

    def _progressed(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    async def _failed(self, batch: dict[_StoreRecord, None], error: StoreError, started: float) -> None:
        now = trio.current_time()
        if self.problem is None:
            self._gives_up_at = started + self.settings.store_deadline
        if self.problem is None or self.problem.code is not error.code:
            _log.error("store failed", code=error.code, detail=error.detail, mend=error.code.mend)
        self.problem = error
        self.counts.failures[error.code] += 1
        batch = {record: None for record in batch if not record.disowned}
        if error.code in _LOST_MORE:
            self._changed = {**batch, **self._changed, **self._records}
        else:
            self._changed = {**batch, **self._changed}
        for record in self._changed:
            if record in batch or error.code in _LOST_MORE:
                record.lose()
        if now < self._gives_up_at:
            await trio.sleep(min(_AGAIN, self._gives_up_at - now))
        if trio.current_time() >= self._gives_up_at:
            await self._give_up()
            if now >= self._gives_up_at:
                await trio.sleep(_AGAIN)
        self._work.set()

    async def _give_up(self) -> None:
        self.gave_up = True
        for record in self._changed:
            record.lose()
        await self._release(self.number)

    def _mended(self) -> None:
        _log.info("store is back", place=self.store.place)
        self.problem = None
        self.gave_up = False


class _StoreRecord(Record):
    """The record of a room that is kept."""

    def __init__(self, writer: Writer, key: str, past: Past) -> None:
        self._writer = writer
        self.key = key
        self._is_new = not past.next
        """Whether the store should have nothing of this room. If it has, a fault has left that behind."""
        self._last_snapshot: bytes | None = None
        """What the room was when it ended with the server."""
        self._broken = False
        self._position = past.next
        """The number of the next event."""
        self._since_snapshot = len(past.events)
        self._tokens: dict[str, tuple[bytes, ...]] = {}
        self._describe: Describe = tuple
        self._events: list[bytes] = []
        self._moved: dict[bytes, bool] = {}
        """The tokens that bring somebody back from now on, or not any more."""
        self.adrift = False
        self._over = False
        self._fate: Write | None = None
        self._until = 0
        """The number of the commit for which everything waits that the room tells."""
        self.waiting = 0
        self.waiting_bytes = 0
        self._disowned = False
        self._learn_disowned: Callable[[], None] | None = None
        self._untold = Untold()
        """Lines of chat that are not kept, and who is told each once it is."""

    @property
    def disowned(self) -> bool:
        return self._disowned

    def on_disowned(self, learn: Callable[[], None]) -> None:
        self._learn_disowned = learn

    @property
    def keeps(self) -> bool:
        return self._writer.keeps and not self._broken

    @property
    def full(self) -> bool:
        return self._writer.full

    def describe_by(self, describe: Describe) -> None:
        self._describe = describe

    def restore(self, tokens: Mapping[str, tuple[bytes, ...]]) -> None:
        self._tokens = dict(tokens)

    def tokens_of(self, person: str) -> tuple[bytes, ...]:
        return self._tokens.get(person, ())

    def note(self, event: Durable) -> None:
        if self._over:
            return
        self._position += 1
        self._since_snapshot += 1
        if isinstance(event, Sat | Returned):
            self._move_tokens(event.person, event.tokens)
        elif isinstance(event, Left):
            self._move_tokens(event.person, ())
        elif isinstance(event, Said):
            self._untold.said(event.line.seq)
        size = 0
        if not self.adrift:
            data = encode(event)
            size = len(data)
            self._events.append(data)
        self._to_write(size)

    def _move_tokens(self, person: str, tokens: tuple[bytes, ...]) -> None:
        before = self._tokens.pop(person, ())
        if tokens:
            self._tokens[person] = tokens
        if not self.adrift:
            self._moved |= dict.fromkeys(before, False)
            self._moved |= dict.fromkeys(tokens, True)

    def tell(self, hearer: Hearer, outgoing: Outgoing) -> None:
        ear = hearer.ear
        if ear is None or self._disowned:
            return
        number = self._writer.turn_of(ear, self._until)
        if number > self._writer.done:
            self._writer.hold(number, self, hearer, ear, outgoing)
        elif self._writer.gave_up:
            self.tell_unkept(hearer, ear, outgoing)
        else:
            hearer.hear(outgoing)

    def end(self, *, forget: bool) -> None:
        if forget:
            self._ends(Forget(self.key))
            self._untold.forget()
        elif not self._over:
            # The room is emptied now, and the store may lose what it was given last.
            self._last_snapshot = encode_snapshot(self._describe())
        self._stop()

    def set_aside(self, why: str) -> None:
        self._ends(SetAside(self.key, why))
        self._untold.forget()
        self._stop()

    def _ends(self, fate: Write) -> None:
        if not self._over:
            self._fate = fate
            self._to_write(0)

    def _stop(self) -> None:
        self._over = True
        self._writer.ended(self)

    def _to_write(self, size: int) -> None:
        if not self.adrift:
            self.waiting += 1
            self.waiting_bytes += size
        number = self._writer.noted(self, size)
        if not self._writer.gave_up:
            self._until = number

    async def until_kept(self) -> None:
        await self._writer.until_done(self._until, self)
        if self._disowned:
            raise NotOurs(self.key)

    async def until_not_full(self) -> None:
        await self._writer.until_not_full()

    # What the writer calls

    def writes(self) -> list[Write]:
        """What is to be written now. It counts as written from then on, unless `lose` is called."""
        writes = self._writes()
        if self._is_new and writes and not isinstance(self._fate, SetAside):
            writes.insert(0, SetAside(self.key, "another room of this name was opened"))
        return writes

    def _writes(self) -> list[Write]:
        events, moved = tuple(self._events), self._moved
        self._events, self._moved = [], {}
        self.waiting = self.waiting_bytes = 0
        self._untold.written()
        adrift, self.adrift = self.adrift, False
        append = [Append(self.key, self._position - len(events), events, moved)] if events else []
        match self._fate:
            case Forget() as forget:
                return [forget]
            case SetAside() as aside:
                return [*([] if adrift else append), aside]
        due = self._since_snapshot > self._writer.settings.store_events and not self._over
        if adrift or due:
            self._since_snapshot = 0
            tokens = [token for tokens in self._tokens.values() for token in tokens]
            snapshot = self._last_snapshot if self._over else encode_snapshot(self._describe())
            return [] if snapshot is None else [Snapshot(self.key, self._position, snapshot, tokens)]
        return [*append]

    def kept(self) -> Iterator[tuple[Hearer, Outgoing]]:
        """What was written is kept. Returns what has waited for that, although the rest was told."""
        self._is_new = False
        return self._untold.kept()

    def tell_unkept(self, hearer: Hearer, ear: Ear, outgoing: Outgoing) -> None:
        """Tell somebody something, although the store has failed for too long. Lines of chat wait all the same."""
        now = self._untold.without(hearer, outgoing)
        if now is not None:
            ear(now)

    def disown(self) -> None:
        """Note and tell nothing any more: the room is another server's."""
        if self._disowned:
            return
        self._disowned = self._broken = self._over = True
        self._fate = self._last_snapshot = None
        self.lose()
        self._untold.forget()
        self._writer.disowned(self)
        if self._learn_disowned is not None:
            self._learn_disowned()

    def break_off(self) -> Write:
        """Note nothing more, and promise nothing more: the room cannot be described."""
        self._broken = self._over = True
        self._untold.forget()
        self._fate = SetAside(self.key, "the room could not be described")
        return self._fate

    def lose(self) -> None:
        """What was to be written may not have been. From now on a snapshot says it all."""
        self.adrift = True
        self._events.clear()
        self._moved.clear()
        self.waiting = self.waiting_bytes = 0


@asynccontextmanager
async def open_writer(
    store: Store, settings: StoreSettings, may_promise: Callable[[], bool] = lambda: True
) -> AsyncIterator[Writer]:
    """A writer for this store. At the end of the scope it commits what is left, within a deadline.

    `may_promise` says whether rooms are this server's, as far as it can know: a node that is cut off may find out
    only at the next commit that it has lost them.
    """
    writer = Writer(store, settings, may_promise)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        try:
            yield writer
        finally:
            with trio.move_on_after(_LAST, shield=True):
                await writer.flush()
            nursery.cancel_scope.cancel()
