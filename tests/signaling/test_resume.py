"""Given a session and its token, these clients may resume it, and nothing is left of it afterwards."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from roomfsm.protocol.client import Resume
from roomfsm.protocol.errors import CloseCode
from roomfsm.rooms.events import Ask, Away, Back, Event
from roomfsm.rooms.room import Room
from roomfsm.signaling.connection import Connection
from roomfsm.signaling.session import Session
from tests.protocol_client import open_client
from tests.serving import Served, serving


async def until_nobody_is_left(server: Served) -> None:
    with trio.fail_after(60):
        while True:
            if len(server.running.registry) == 0:
                return
            await trio.sleep(0.01)


async def test_a_session_without_a_room_cannot_be_resumed(media_server: str) -> None:
    async with serving(media_server) as server:
        async with open_client(server.url) as ada, open_client(server.url) as bob:
            refused = await bob.ask("resume", token=ada.welcome["resumeToken"])
            assert refused["code"] == "session_unknown"
            for client in (ada, bob):
                assert (await client.ask("ping"))["type"] == "pong"
        await until_nobody_is_left(server)


async def test_a_connection_may_resume_one_session_after_another(media_server: str) -> None:
    async with serving(media_server) as server:
        async with open_client(server.url) as ada, open_client(server.url) as bob, open_client(server.url) as zoe:
            for client in (ada, bob):
                await client.join("blue")
            for client in (ada, bob):
                resumed = await zoe.ask("resume", token=client.welcome["resumeToken"])
                assert resumed["you"] == client.me
                await zoe.ask("leave")
        await until_nobody_is_left(server)


async def test_a_browser_that_gets_no_answer_may_use_its_token_again_and_again(media_server: str) -> None:
    async with serving(media_server) as server, open_client(server.url) as ada:
        await ada.join("blue")
        tokens = [ada.welcome["resumeToken"]]
        for _ in range(3):
            async with open_client(server.url) as again:
                assert (await again.ask("resume", token=tokens[0]))["you"] == ada.me
                tokens.append(again.welcome["resumeToken"])
                await again.websocket._stream.aclose()
        async with open_client(server.url) as late:
            # Nobody has ever used this, and there are two newer ones.
            assert (await late.ask("resume", token=tokens[1]))["code"] == "session_unknown"
            assert (await late.ask("resume", token=tokens[-1]))["you"] == ada.me


async def test_a_person_who_is_back_before_the_room_heard_of_the_loss_stays(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, came = trio.Event(), trio.Event()
    heard: list[type[Event]] = []
    post, resume_over = Room.post, Session.resume_over

    async def held_back(room: Room, event: Event) -> None:
        if isinstance(event, Away):
            await held.wait()
        if isinstance(event, Away | Back):
            heard.append(type(event))
        await post(room, event)

    def resumed(session: Session, connection: Connection, message: Resume) -> None:
        resume_over(session, connection, message)
        came.set()

    monkeypatch.setattr(Room, "post", held_back)
    monkeypatch.setattr(Session, "resume_over", resumed)
    with trio.fail_after(60), capture_logs() as logged:
        async with serving(media_server) as server, open_client(server.url) as bob:
            await bob.join("blue", "Bob")
            async with open_client(server.url) as ada:
                await ada.join("blue")
                await ada.websocket._stream.aclose()
            async with open_client(server.url) as back:
                ref = await back.send("resume", token=ada.welcome["resumeToken"])
                await came.wait()
                held.set()
                assert (await back.expect(ref=ref))["you"] == ada.me
                assert (await back.ask("chat", text="still here"))["line"]["participant"] == ada.me
                changed = [seen["participant"] for seen in bob.seen if seen["type"] == "participantChanged"]
                assert all(not person.get("away") for person in changed[-1:])
    assert heard[:2] == [Away, Back]
    assert [entry for entry in logged if entry["log_level"] == "error"] == []


async def test_if_two_resume_at_once_the_later_one_gets_only_its_own_reply(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_came = trio.Event()
    came: list[Session] = []
    post, resume_over = Room.post, Session.resume_over

    def resumed(session: Session, connection: Connection, message: Resume) -> None:
        resume_over(session, connection, message)
        came.append(session)
        if len(came) == 2:
            two_came.set()

    async def held_back(room: Room, event: Event) -> None:
        if isinstance(event, Back):
            await two_came.wait()
        await post(room, event)

    monkeypatch.setattr(Session, "resume_over", resumed)
    monkeypatch.setattr(Room, "post", held_back)
    with trio.fail_after(60):
        async with serving(media_server) as server:
            async with open_client(server.url) as ada:
                await ada.join("blue")
                await ada.websocket._stream.aclose()
            async with open_client(server.url) as first, open_client(server.url) as second:
                await first.send("resume", ref=1001, token=ada.welcome["resumeToken"])
                while not came:
                    await trio.testing.wait_all_tasks_blocked()
                await second.send("resume", ref=1002, token=ada.welcome["resumeToken"])
                assert (await second.expect("joined"))["ref"] == 1002
                assert await first.closed() == CloseCode.RESUMED_ELSEWHERE
                await second.ask("chat", text="it is me")
                assert [seen["ref"] for seen in second.seen if seen["type"] == "joined" and "ref" in seen] == [
                    1002
                ]


async def test_of_two_who_resume_a_busy_session_the_earlier_is_closed_unanswered(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, let_go, came = trio.Event(), trio.Event(), trio.Event()
    post, resume_over = Room.post, Session.resume_over

    def resumed(session: Session, connection: Connection, message: Resume) -> None:
        resume_over(session, connection, message)
        came.set()

    async def held_back(room: Room, event: Event) -> None:
        if isinstance(event, Ask):
            busy.set()
            await let_go.wait()
        await post(room, event)

    monkeypatch.setattr(Session, "resume_over", resumed)
    monkeypatch.setattr(Room, "post", held_back)
    with trio.fail_after(60):
        async with serving(media_server) as server, open_client(server.url) as ada:
            await ada.join("blue")
            await ada.send("chat", text="wait for it")
            await busy.wait()
            async with open_client(server.url) as first, open_client(server.url) as second:
                await first.send("resume", token=ada.welcome["resumeToken"])
                await came.wait()
                ref = await second.send("resume", token=ada.welcome["resumeToken"])
                for before in (ada, first):
                    assert await before.closed() == CloseCode.RESUMED_ELSEWHERE
                let_go.set()
                assert (await second.expect(ref=ref))["you"] == ada.me
                assert [seen for seen in first.seen if seen["type"] == "joined"] == []


@pytest.mark.parametrize("away", [False, True])
async def test_a_person_who_resumes_as_the_room_ends_is_told_and_may_join_again(
    media_server: str, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    resume_over = Session.resume_over

    def too_late(session: Session, connection: Connection, message: Resume) -> None:
        resume_over(session, connection, message)
        assert session._seat is not None
        room = session._seat.room
        del room.people[session.participant_id]
        session._seat.take_away()

    monkeypatch.setattr(Session, "resume_over", too_late)
    with trio.fail_after(60), capture_logs() as logged:
        async with serving(media_server) as server, open_client(server.url) as bob, open_client(server.url) as ada:
            await bob.join("blue", "Bob")
            await ada.join("blue")
            if away:
                await ada.websocket._stream.aclose()
                await bob.expect("participantChanged")
            async with open_client(server.url) as back:
                reply = await back.ask("resume", token=ada.welcome["resumeToken"])
                assert (reply["type"], reply["code"]) == ("error", "room_closed")
                assert (await back.ask("join", room="red", name="Ada"))["you"] == ada.me
    assert [entry for entry in logged if entry["log_level"] == "error"] == []


async def test_a_fault_in_one_sessions_task_ends_that_session_and_no_other(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_connection = Session._find_connection
    async with serving(media_server) as server, open_client(server.url) as bob, open_client(server.url) as ada:
        await bob.join("blue", "Bob")
        await ada.join("blue")

        async def fails(session: Session, left: bool) -> bool:
            if session.participant_id == ada.me:
                raise RuntimeError("a fault of ours")
            return await find_connection(session, left)

        monkeypatch.setattr(Session, "_find_connection", fails)
        with capture_logs() as logged:
            await ada.websocket._stream.aclose()
            assert (await bob.expect("participantLeft"))["participant"] == ada.me
        assert "session failed" in [entry["event"] for entry in logged]
        assert (await bob.ask("chat", text="still here"))["type"] == "chat"
        assert len(server.running.registry) == 1


async def test_a_lost_and_a_resumed_connection_are_each_a_line_of_the_log(media_server: str) -> None:
    with trio.fail_after(60), capture_logs() as logged:
        async with serving(media_server) as server, open_client(server.url) as zoe:
            async with open_client(server.url) as ada:
                await ada.join("Blue")
                await ada.websocket._stream.aclose()
            assert (await zoe.ask("resume", token=ada.welcome["resumeToken"]))["resumed"] is True
    told = [entry for entry in logged if entry["event"].startswith("connection ")]
    of_ada = {"room": "Blue", "session": ada.me, "log_level": "info"}
    # The loss may be seen only when the other connection is already there: then there was none.
    assert told[-1] == {"event": "connection resumed", **of_ada}
    assert told[:-1] in ([], [{"event": "connection lost", **of_ada}])


async def test_a_lost_connection_is_a_line_of_the_log(media_server: str) -> None:
    with trio.fail_after(60), capture_logs() as logged:
        async with serving(media_server, resume_window=0.0) as server:
            async with open_client(server.url) as ada:
                await ada.join("Blue")
                await ada.websocket._stream.aclose()
            await until_nobody_is_left(server)
    told = [entry for entry in logged if entry["event"].startswith("connection ")]
    assert told == [{"event": "connection lost", "room": "Blue", "session": ada.me, "log_level": "info"}]
