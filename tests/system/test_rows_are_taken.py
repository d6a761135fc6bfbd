"""Every row of every table is taken by something that lives: rooms, legs and sessions as the server has them.

The tests look on while rooms, legs, sessions and a server take steps. A row that nothing here takes is dead and
must be removed, unless `RARE` says why it is there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from roomfsm.access.credentials import Credentials
from roomfsm.access.policy import Policy
from roomfsm.files.settings import FileSettings
from roomfsm.files.shared_file import SharedFile
from roomfsm.files.store import FileStore
from roomfsm.kurento.events import DtlsConnectionState
from roomfsm.lifecycle.administrator import ADMINISTRATOR
from roomfsm.lifecycle.door import DOOR
from roomfsm.lifecycle.file import FILE
from roomfsm.lifecycle.legality import judge
from roomfsm.lifecycle.node import NODE
from roomfsm.lifecycle.relay import RELAY
from roomfsm.lifecycle.room import ROOM
from roomfsm.lifecycle.seat import SEAT
from roomfsm.lifecycle.server import SERVER
from roomfsm.lifecycle.session import SESSION
from roomfsm.lifecycle.sound import SOUND
from roomfsm.lifecycle.stream import STREAM, VIEW
from roomfsm.lifecycle.table import STAYS, Model, Table
from roomfsm.protocol.client import (
    Adjust,
    Admit,
    Ban,
    Candidate,
    Chat,
    ClearChat,
    CloseRoom,
    Configure,
    DeleteLine,
    Deny,
    EndStream,
    Kick,
    Lock,
    LowerHand,
    Media,
    Mute,
    RaiseHand,
    React,
    Rename,
    Restart,
    Resume,
    SendFile,
    SetRole,
    Speaking,
    Unban,
    Unlock,
    Unmute,
    Unpublish,
    Unview,
    View,
)
from roomfsm.protocol.fields import Size
from roomfsm.protocol.reactions import Reaction
from roomfsm.protocol.roles import Role
from roomfsm.rooms.directory import Directory, open_directory
from roomfsm.rooms.events import Administer, Back, Event, HandOver, SetPolicy
from roomfsm.rooms.room import Room, RoomOver
from roomfsm.rooms.settings import RoomSettings
from roomfsm.server import End, open_server
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.session import Session
from roomfsm.testing import FakeMedia, Person
from tests.nodes.company import SHORT, Node, company, until
from tests.nodes.three import three
from tests.protocol_client import open_client
from tests.redis_server import redis_server
from tests.rooms.house import OFFER, SMALL, dtls, people, publish, settle
from tests.rooms.kept import MemoryStore, kept
from tests.serving import Served, serving, settings
from tests.web.http import get

type Taken = set[tuple[str, str, str, str]]
"""Machine, trigger, source and destination."""

RELEASED = "the media server's event is on its way while the task that reads it is being cancelled"
NEVER = "its guard refuses everybody"
JUDGED = "the other room decides: this one is only asked whether the message is legal"
RARE: dict[tuple[str, str, str, str], str] = {
    **{
        (machine, trigger, "ended", "ended"): RELEASED
        for machine, triggers in (
            ("stream", ("answered", "connected", "flowing", "silent", "layers", "speech")),
            ("view", ("answered", "connected", "flowing", "silent", "narrow", "wide")),
        )
        for trigger in triggers
    },
    **{("room", "switch", state, state): JUDGED for state in ("waiting", "broadcasting")},
    **{
        ("server", trigger, state, state): NEVER
        for trigger, states in (
            ("connect", ("closing", "closed")),
            ("open_room", ("draining", "closing", "closed")),
            ("ready", ("draining", "closing", "closed")),
        )
        for state in states
    },
    ("room", "vacate", "empty", "empty"): "somebody knocks after the directory has chosen the room",
    ("server", "live", "starting", "starting"): "the instant in which the ports are open, and the door is not yet",
    ("server", "live", "closing", "closing"): "somebody asks while the rooms close",
}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    """The rows that any machine takes from here on."""
    rows: Taken = set()
    attempt = Table._attempt

    def note(table: Table[Any], model: Model, trigger: str, facts: Any) -> Any:
        result = attempt(table, model, trigger, facts)
        if result.step is not None:
            rows.add((table.name, trigger, result.step.source, result.step.dest))
        return result

    def judged(message: str, session_state: str, room_state: str | None) -> None:
        """A message that leaves the session as it is does not fire its machine: it is only asked."""
        if any(row.dest == STAYS for row in SESSION.rows_of(session_state, message)):
            rows.add((SESSION.name, message, session_state, session_state))
        judge(message, session_state, room_state)

    monkeypatch.setattr(Table, "_attempt", note)
    monkeypatch.setattr("roomfsm.signaling.session.judge", judged)
    return rows


def left(table: Table[Any], taken: Taken) -> Taken:
    """The rows of a table that were not taken."""
    rows = {
        (table.name, trigger, source, row.dest_from(source))
        for row in table.rows
        for source in row.sources
        for trigger in row.triggers
    }
    assert {row for row in RARE if row[0] == table.name} <= rows
    return rows - RARE.keys() - taken


def ways(table: Table[Any]) -> dict[str, list[str]]:
    """A shortest way of triggers from the initial state to each state."""
    found: dict[str, list[str]] = {table.initial: []}
    waiting = deque([table.initial])
    while waiting:
        source = waiting.popleft()
        for trigger in table.legal(source):
            for row in table.rows_of(source, trigger):
                dest = row.dest_from(source)
                if dest not in found:
                    found[dest] = [*found[source], trigger]
                    waiting.append(dest)
    return found


async def play(directory: Directory, media: FakeMedia, table: Table[None], triggers: list[str]) -> None:
    """A stream, or a view of it, to which all this happens in turn."""
    room = f"{table.name}-{'-'.join(triggers)}"[:64]
    ada, bob, eve = await people(directory, "Ada", "Bob", "Eve", room=room)
    await ada.say(publish())
    await settle()
    endpoint, owner = media.endpoints[-1], ada
    if table is VIEW:
        endpoint.answering.open()
        await bob.say(View(stream=ada.stream(), sdp=OFFER))
        await settle()
        endpoint, owner = media.endpoints[-1], bob
    for trigger in triggers:
        match trigger:
            case "answered":
                endpoint.answering.open()
            case "connected":
                endpoint.connects()
            case "flowing" | "silent":
                endpoint.flows(trigger == "flowing")
            case "narrow" | "wide":
                endpoint.pauses(trigger == "narrow")
            case "layers":
                endpoint.wants("l", "h")
            case "speech":
                endpoint.speaks(True)
            case "picture_off" | "picture_on":
                size = Size.NONE if trigger == "picture_off" else Size.LARGE
                await bob.say(Adjust(stream=ada.stream(), size=size))
            case "candidate":
                await owner.say(Candidate(stream=ada.stream(), candidate="c"))
            case "restart":
                await owner.say(Restart(stream=ada.stream(), sdp=OFFER))
            case "view":
                await eve.say(View(stream=ada.stream(), sdp=OFFER))
            case "end" if table is STREAM:
                await ada.say(Unpublish(stream=ada.stream()))
            case "end":
                await bob.say(Unview(stream=ada.stream()))
        await settle()
    for person in (ada, bob, eve):
        await person.leave()


@pytest.mark.parametrize("table", [STREAM, VIEW], ids=lambda table: table.name)
async def test_every_row_of_a_stream_and_of_a_view_is_taken(
    table: Table[None], taken: Taken, autojump_clock: MockClock
) -> None:
    settings = replace(SMALL, max_rooms=1000, max_rooms_per_session=1000, max_rooms_per_address=1000)
    media = FakeMedia(answers=False)
    async with open_directory(media.pool, settings) as directory:
        for state, way in ways(table).items():
            for trigger in table.legal(state):
                if (table.name, trigger, state, state) not in RARE:
                    await play(directory, media, table, [*way, trigger])
    assert left(table, taken) == set()


async def test_every_row_of_a_relay_is_taken(taken: Taken, autojump_clock: MockClock) -> None:
    settings = replace(SMALL, max_rooms=100, views_per_media_server=1)
    media = FakeMedia()
    media.urls, media.relays_connect = ["ws://one", "ws://two"], False
    async with open_directory(media.pool, settings) as directory:
        for state, way in ways(RELAY).items():
            for trigger in RELAY.legal(state):
                media.made = 0
                ada, bob, eve = await people(directory, "Ada", "Bob", "Eve", room=f"relay-{state}-{trigger}")
                await ada.say(publish())
                await settle()
                await bob.say(View(stream=ada.stream(), sdp=OFFER))
                await settle()
                media.answering.shut()
                await eve.say(View(stream=ada.stream(), sdp=OFFER))
                await settle()
                receiver = next(one for one in media.open if one.server_url == "ws://two")
                for each in (*way, trigger):
                    match each:
                        case "described":
                            media.answering.open()
                        case "connected":
                            receiver.connects()
                        case "flowing" | "silent":
                            receiver.flows(each == "flowing")
                        case "lost":
                            receiver.happens(dtls(DtlsConnectionState.FAILED))
                        case "end":
                            await eve.leave()
                    await settle()
                media.answering.open()
                for person in (ada, bob, eve):
                    if person.room is not None:
                        await person.leave()
                await settle()
    assert left(RELAY, taken) == set()


async def test_every_row_of_a_room_is_taken(taken: Taken, autojump_clock: MockClock) -> None:
    settings = replace(SMALL, closing_notice=5.0)
    media = FakeMedia()
    store = FileStore(FileSettings(), Path("nowhere"))
    async with open_directory(media.pool, settings, files=store) as directory:
        await _files(directory, store)
        await _comings_and_goings(directory)
        await _media_in_a_room(directory, media)
        await _ends_of_rooms(directory)
        await _moderation(directory)
        await _administration(directory)
        await _lobby(directory)
        await _stand_ins(directory)
        await _hand_overs(directory)
    await _lost_rooms(settings)
    for table in (ROOM, SEAT, DOOR, SOUND, ADMINISTRATOR, FILE):
        assert left(table, taken) == set()


async def _files(directory: Directory, store: FileStore) -> None:
    """Files that arrive, and others that end in each state."""
    ada, bob = await people(directory, "Ada", "Bob", room="files")

    async def announced(*triggers: str, to: str | None = None) -> SharedFile:
        await ada.say(SendFile(name="a.txt", size=0, to=to))
        await settle()
        file = store.to_bring(ada.last("upload")["path"].removeprefix("files/"))
        assert file is not None
        for trigger in triggers:
            file.fire(trigger)
        return file

    for presents in (False, True):
        if presents:
            await ada.say(publish())
            await settle()
        file = await announced("put")
        await file.deliver(file)
        file.fire("fetched")
    file = await announced("put", to=bob.participant_id)
    await file.deliver(file)
    await bob.leave()
    (await announced("put", "arrived")).fire("expired")
    for ended in ("late", "broken_off", "dropped"):
        await announced("put", ended)
    await announced("dropped")
    await announced()
    await trio.sleep(FileSettings().upload_wait + 1)
    await ada.leave()
    await trio.sleep(SMALL.linger + 1)


async def _moderation(directory: Directory) -> None:
    ada, bob, eve = await people(directory, "Ada", "Bob", "Eve", room="six")
    for message in (Lock(), Lock(), Unlock(), Unlock(), ClearChat(), RaiseHand(), LowerHand()):
        await ada.say(message)
    for presenters in ((bob, eve), (bob,)):
        for presenter in presenters:
            await presenter.say(publish())
            await settle()
        for presenter in presenters:
            for role in (Role.VIEWER, Role.PRESENTER):
                await ada.say(SetRole(participant=presenter.participant_id, role=role))
                await settle()
    on, hushed = Media(microphone=True, camera=True), bob.participant_id
    await bob.say(Speaking(speaking=True))
    await bob.say(React(reaction=Reaction.HEART))
    for hold in (False, True):
        mute, unmute = Mute(participant=hushed, hold=hold), Unmute(participant=hushed)
        other = Mute(participant=hushed, hold=not hold)
        for sender, about_sound in ((bob, on), (ada, mute), (ada, mute), (ada, unmute), (ada, unmute)):
            await sender.say(about_sound)
        for sender, about_sound in ((ada, mute), (bob, on), (ada, other), (ada, mute), (ada, unmute)):
            await sender.say(about_sound)
    await settle()
    await bob.vanish()
    await bob.come_back()
    # The session is resumed before the room has heard of the loss.
    await bob.sits_in.request(Back(bob.own_seat, None))
    for away in (False, True):
        for put_out in (Kick, Ban):
            if away:
                await bob.vanish()
            await ada.say(put_out(participant=bob.participant_id))
            await settle()
            if put_out is Ban:
                await ada.say(Unban(participant=bob.participant_id))
                await settle()
            await bob.join("six")
    await bob.vanish()
    await bob.leave("disconnected")
    await bob.join("six")
    await eve.leave()
    await bob.vanish()
    await ada.leave()
    await bob.come_back()
    await ada.join("six")
    await bob.leave()
    await ada.say(Lock())
    await settle()
    await ada.leave()
    await bob.join("six")
    await ada.join("six")
    for presenters in ((bob, ada), (ada,)):
        for presenter in presenters:
            await presenter.say(publish())
            await settle()
        for presenter in presenters:
            await bob.say(EndStream(stream=presenter.stream()))
            await settle()
    await ada.say(Chat(text="hello"))
    await ada.say(DeleteLine(line=1))
    await bob.say(CloseRoom())
    await settle()
    await bob.leave()
    await ada.leave()
    await trio.sleep(6)


async def _administration(directory: Directory) -> None:
    room = await directory.create("seven")
    for message in (Lock(), Unlock(), ClearChat(), SetPolicy(Policy(max_people=5))):
        await room.request(Administer(message))
    ada, bob, eve = await people(directory, "Ada", "Bob", "Eve", room="seven")
    await room.request(Administer(SetRole(participant=bob.participant_id, role=Role.VIEWER)))
    await ada.say(publish())
    await settle()
    await room.request(Administer(Kick(participant=bob.participant_id)))
    await room.request(Administer(Ban(participant=eve.participant_id)))
    await room.request(Administer(Unban(participant=eve.participant_id)))
    await ada.leave()


async def _lobby(directory: Directory) -> None:
    """A room that nobody is in lingers as long as somebody waits in its lobby."""
    await directory.create("eight", Policy(lobby=True, first_moderates=False, linger=3.0))
    bob, eve = Person(directory, "Bob"), Person(directory, "Eve")
    await bob.join("eight")
    await eve.join("eight")
    await trio.sleep(4)
    await bob.leave()
    ada = Person(directory, "Ada")
    ada.brings = Credentials(role=Role.MODERATOR)
    await ada.join("eight")
    await ada.say(Deny(participant=eve.participant_id))
    for message in (publish(), Configure(listed=False)):
        await bob.join("eight")
        await bob.leave()
        await ada.say(message)
        await settle()
    await bob.join("eight")
    await bob.leave()
    await bob.join("eight")
    await ada.say(Admit())
    await settle()
    await ada.leave()
    await bob.leave()


async def _stand_ins(directory: Directory) -> None:
    """Somebody stands in for a moderator until one comes, also while the connection is lost."""
    ada, bob = await people(directory, "Ada", "Bob", room="nine")
    await bob.vanish()
    await ada.leave()
    for _ in range(2):
        ada.brings = Credentials(role=Role.MODERATOR)
        await ada.join("nine")
        if bob.state == "away":
            await bob.come_back()
        await ada.leave()
    await ada.join("nine")
    await bob.leave()
    await ada.leave()


async def _hand_overs(directory: Directory) -> None:
    for number in range(3):
        room = await directory.create("ten")
        if number:
            (ada,) = await people(directory, "Ada", room="ten")
        if number == 2:
            await ada.say(publish())
        await room.request(HandOver("moved"))


async def _comings_and_goings(directory: Directory) -> None:
    ada, bob = await people(directory, "Ada", "Bob", room="one")
    await bob.vanish()
    await bob.come_back()
    await ada.say(Rename(name="Countess"))
    await ada.say(Chat(text="hello"))
    await bob.leave()
    await ada.leave()
    await trio.sleep(SMALL.linger + 1)
    assert len(directory) == 0


async def _media_in_a_room(directory: Directory, media: FakeMedia) -> None:
    ada, bob = await people(directory, "Ada", "Bob", room="two")
    await ada.say(publish())
    await settle()
    eve = Person(directory, "Eve")
    await eve.join("two")
    await eve.vanish()
    await eve.come_back()
    stream = ada.stream()
    for message in (
        Rename(name="Evelyn"),
        Chat(text="hello"),
        View(stream=stream, sdp=OFFER),
        Candidate(stream=stream, candidate="c"),
        Restart(stream=stream, sdp=OFFER),
        Adjust(stream=stream, size=Size.NONE),
        Unview(stream=stream),
        View(stream=stream, sdp=OFFER),
    ):
        await eve.say(message)
        await settle()
    media.endpoints[-1].happens(dtls(DtlsConnectionState.CLOSED))
    await settle()
    await bob.say(publish())
    await bob.say(Unpublish(stream=bob.stream()))
    await ada.say(Unpublish(stream=stream))
    await settle()
    for presenter in (ada, bob):
        await presenter.say(publish())
        await settle()
    for endpoint in media.endpoints[-2:]:
        endpoint.happens(dtls(DtlsConnectionState.CLOSED))
        await settle()
    await ada.say(publish())
    await settle()
    media.pipelines[0].lost.set()
    await settle()
    # The only presenter is away, and makes way.
    await ada.say(publish())
    await ada.vanish()
    zoe = Person(directory, "Zoe")
    await zoe.join("two")
    for presenter in (bob, zoe):
        await presenter.say(publish())
        await settle()
    await zoe.leave()
    await bob.leave()
    await eve.say(publish())
    await settle()
    await eve.leave()
    assert directory.find("two") is not None


async def _ends_of_rooms(directory: Directory) -> None:
    """There may be three rooms, and the empty one from before makes way."""
    (ada,) = await people(directory, "Ada", room="three")
    (bob,) = await people(directory, "Bob", room="four")
    (eve,) = await people(directory, "Eve", room="five")
    assert directory.find("two") is None
    await bob.say(publish())
    await settle()
    await eve.leave()
    for name in ("three", "four", "five"):
        await directory.close_room(name, "tea")
        await settle()
    await ada.vanish()
    await ada.come_back()
    await ada.leave()
    await trio.sleep(6)
    assert len(directory) == 0


async def _lost_rooms(settings: RoomSettings) -> None:
    """The store says of rooms in each state that they are another server's."""
    store = MemoryStore()
    async with kept(store, rooms=settings) as server:
        for state in ("empty", "waiting", "broadcasting"):
            await server.directory.create(state)
        await people(server.directory, "Ada", room="waiting")
        (bob,) = await people(server.directory, "Bob", room="broadcasting")
        await bob.say(publish())
        await settle()
        assert [room.state for room in server.directory.rooms()] == ["empty", "waiting", "broadcasting"]
        server.writer.disown_all()
        await settle()
        assert len(server.directory) == 0
        await people(server.directory, "Ada", room="closing")
        await settle()
        store.lost = {"closing"}
        with pytest.raises(RoomOver):
            await server.directory.close_room("closing", "tea")
        await settle()
        assert len(server.directory) == 0


async def test_every_row_of_a_node_is_taken(taken: Taken, tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        async with company(url) as all_:
            # Whoever must not be cut off by chance has a long lease, and beats when it is told to.
            zoe = await all_.join("zoe")
            await all_.lose(zoe, "member")
            await all_.forget(zoe, "member")
            await all_.refuses(zoe, Node("zoe", SHORT))
            ada = await all_.join("ada", SHORT)
            await all_.lose(ada, "cut_off")
            await all_.forget(ada, "cut_off")
            ada.relay.cut()
            await until(lambda: ada.state == "cut_off")
            ada.relay.mend()
            await until(lambda: ada.state == "member")
            ada.membership.drain()
            ada.relay.cut()
            await until(lambda: not ada.membership.holds)
            ada.relay.mend()
            await until(lambda: ada.membership.holds)
            await all_.lose(ada, "draining")
            assert ada.state == "gone"
            bob = await all_.join("bob", SHORT)
            # Another server gets the name while Redis does not know it.
            bob.relay.cut()
            await until(lambda: bob.state == "cut_off")
            bob.membership.drain()
            await all_.client.flushall()
            again = await all_.join("bob")
            bob.relay.mend()
            with trio.fail_after(60):
                while bob.state != "gone":
                    again.membership.hurry()
                    await wait_all_tasks_blocked(0.01)
            cyd = await all_.join("cyd", SHORT)
            cyd.relay.cut()
            await until(lambda: cyd.state == "cut_off")
            await cyd.membership.leave()
            await again.membership.leave()
            dan, eve = await all_.join("dan"), await all_.join("eve", SHORT)
            dan.membership.drain()
            await dan.membership.leave()
            eve.cannot_register()
            await all_.client.flushall()
            await until(lambda: eve.state == "joining")
            await eve.membership.leave()
    assert left(NODE, taken) == set()


async def test_every_row_of_a_session_and_of_the_server_is_taken(
    taken: Taken, media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trio.fail_after(200):
        async with serving(media_server, resume_window=30.0) as server:
            await _messages(server)
            await _waits(server)
            await _connections(server)
            await _resumptions(server, monkeypatch)
            await _rooms_end(server, monkeypatch)
            await _drain(server)
        async with serving(media_server, resume_window=0.01) as server:
            async with open_client(server.url) as ada:
                await ada.join("blue")
                await ada.websocket._stream.aclose()
            await _until(lambda: len(server.running.registry) == 0)
        await _moves(media_server)
        await _ends_of_the_server(media_server)
    assert left(SESSION, taken) == set()
    assert left(SERVER, taken) == set()


async def _ends_of_the_server(media_server: str) -> None:
    """The end is asked for during the start, later, and while people have time."""
    for is_restart in (False, True):
        end = End()
        end.ask(is_restart=is_restart)
        async with open_server(settings(media_server), end=end):
            pass
    for drains in (False, True):
        end = End()
        async with open_server(settings(media_server), end=end) as running:
            if drains:
                await running.drain(60.0)
            end.ask(is_restart=True)


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await wait_all_tasks_blocked(0.01)


async def _messages(server: Served) -> None:
    async with open_client(server.url) as ada:
        await ada.ask("ping")
        await ada.join("blue")
        await ada.ask("rename", name="Countess")
        await ada.ask("chat", text="hello")
        await ada.ask("sendFile", name="a.txt", size=1)
        await ada.ask("publish", source="camera", sdp="v=0")
        for message in ("unpublish", "endStream", "unview"):
            await ada.ask(message, stream="p1.camera")
        await ada.ask("view", stream="p1.camera", sdp="v=0")
        await ada.ask("restart", stream="p1.camera", sdp="v=0")
        await ada.ask("candidate", stream="p1.camera", candidate="c")
        await ada.ask("adjust", stream="p1.camera", size="none")
        for message in ("kick", "ban", "unban"):
            await ada.ask(message, participant="p1")
        for message in ("mute", "unmute"):
            await ada.ask(message, participant="p1")
        await ada.ask("media", microphone=True, camera=True)
        await ada.send("speaking", speaking=True)
        await ada.expect("speaking")
        await ada.send("react", reaction="heart")
        await ada.expect("reacted")
        await ada.ask("setRole", participant="p1", role="viewer")
        for message in ("raiseHand", "lowerHand", "lock", "unlock", "clearChat"):
            await ada.ask(message)
        await ada.ask("deleteLine", line=1)
        await ada.ask("switch", room="red")
        await ada.ask("ping")
        await ada.ask("leave")
        await ada.join("red")
        await ada.ask("closeRoom")
        await _until(lambda: server.running.directory.find("red") is None)
        await ada.ask("ping")
        await ada.join("blue")
    for path in ("/health/ready", "/health/live"):
        await get(server, path)


async def _moves(media_server: str) -> None:
    async with three(media_server) as nodes, open_client(nodes.url("one")) as ada:
        for room in ("green", "blue"):
            await ada.ask("join" if room == "green" else "switch", room=room)
        await _until(lambda: not nodes.directory("two").rooms()[0].people)


async def _waits(server: Served) -> None:
    async with open_client(server.url) as ada:
        await ada.join("lobby")
        await ada.ask("configure", lobby=True)
        for message in ("admit", "deny"):
            await ada.ask(message)
        async with open_client(server.url) as bob:
            await bob.send("join", room="lobby", name="Bob", ref="b")
            await bob.expect(type="knocking")
            await bob.ask("ping")
            await bob.ask("leave")
            for answer in ("deny", "admit"):
                await bob.send("join", room="lobby", name="Bob", ref="b")
                await bob.expect(type="knocking")
                await ada.ask(answer)
                await bob.expect(ref="b")
                await bob.ask("ping")
            await bob.ask("switch", room="green")
            await bob.send("switch", room="lobby")
            await bob.expect(type="knocking")
        async with open_client(server.url) as eve:
            await eve.send("join", room="lobby")
            await eve.expect(type="knocking")
            async with open_client(server.url) as again:
                await again.ask("resume", token=eve.welcome["resumeToken"])
        async with open_client(server.url) as eve:
            await eve.send("join", room="lobby")
            await eve.expect(type="knocking")
            await eve.websocket._stream.aclose()
        await ada.ask("configure", lobby=False)
    await _until(lambda: len(server.running.registry) == 0)


async def _connections(server: Served) -> None:
    async with open_client(server.url) as ada:
        await ada.websocket._stream.aclose()
    async with open_client(server.url):
        pass
    await _until(lambda: len(server.running.registry) == 0)


async def _resumptions(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One resumes a session that is joined, and two a session that is away; the room is told of them late."""
    post, resume_over = Room.post, Session.resume_over
    came: list[Session] = []

    def resumed(session: Session, connection: Connection, message: Resume) -> None:
        resume_over(session, connection, message)
        came.append(session)

    async def held_back(room: Room, event: Event) -> None:
        if isinstance(event, Back):
            await _until(lambda: len(came) != 2)
        await post(room, event)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "resume_over", resumed)
        patched.setattr(Room, "post", held_back)
        async with open_client(server.url) as ada, open_client(server.url) as back:
            await ada.join("blue")
            await back.ask("resume", token=ada.welcome["resumeToken"])
            await back.websocket._stream.aclose()
            (session,) = came
            await _until(lambda: session.state == "away")
            async with open_client(server.url) as first, open_client(server.url) as second:
                await first.send("resume", token=ada.welcome["resumeToken"])
                await _until(lambda: len(came) == 2)
                await _until(lambda: session.state == "resuming")
                await second.send("resume", token=back.welcome["resumeToken"])
                await second.expect("joined")


async def _drain(server: Served) -> None:
    """People have time, may come, and are seen off."""
    async with open_client(server.url) as ada, trio.open_nursery() as nursery:
        await ada.join("blue")
        nursery.start_soon(server.running.drain, 60.0)
        await ada.expect("closing")
        async with open_client(server.url):
            await get(server, "/health/live")
        nursery.cancel_scope.cancel()


async def _rooms_end(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room ends around one who is joined, one who is away, and one who is just coming back."""
    resume_over = Session.resume_over

    def too_late(session: Session, connection: Connection, message: Resume) -> None:
        resume_over(session, connection, message)
        assert session._seat is not None
        del session._seat.room.people[session.participant_id]
        session._seat.take_away()

    async with open_client(server.url) as ada, open_client(server.url) as bob, open_client(server.url) as eve:
        for client, name in ((ada, "Ada"), (bob, "Bob"), (eve, "Eve")):
            await client.join("green", name)
        with monkeypatch.context() as patched:
            patched.setattr(Session, "resume_over", too_late)
            async with open_client(server.url) as back:
                await back.ask("resume", token=eve.welcome["resumeToken"])
        await bob.websocket._stream.aclose()
        await ada.expect("participantChanged")
        await server.running.directory.close_room("green", "tea")
        await _until(lambda: server.running.directory.find("green") is None)
        await ada.ask("ping")
    await _until(lambda: len(server.running.registry) == 0)
