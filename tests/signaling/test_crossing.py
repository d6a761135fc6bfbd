"""Given rooms at several nodes, a browser that is connected to any of them is in them as if they were there."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from typing import Any

import trio
from trio_websocket import ConnectionClosed

from roomfsm.nodes.messages import Move, Open, Said, Told
from roomfsm.protocol.errors import CloseCode, ErrorCode
from tests.nodes.three import three
from tests.protocol_client import open_client


async def test_a_browser_enters_a_room_at_another_node(media_server: str) -> None:
    async with three(media_server) as nodes:
        async with open_client(nodes.url("one")) as ada, open_client(nodes.url("two")) as bob:
            joined = await ada.join("green", "Ada")
            assert joined["you"] == ada.welcome["session"]
            assert [room.name for room in nodes.directory("two").rooms()] == ["green"]
            assert nodes.directory("one").rooms() == []
            await bob.join("green", "Bob")
            assert (await ada.expect("participantJoined"))["participant"]["name"] == "Bob"
            said = await ada.ask("chat", text="from the other side")
            assert said["line"]["participant"] == ada.me
            assert (await bob.expect("chat"))["line"]["text"] == "from the other side"
            assert (await ada.ask("ping"))["type"] == "pong"
            assert (await ada.ask("leave"))["type"] == "participantLeft"
            # In no room, the session stays where it is, and goes on from there.
            assert (await ada.join("red", "Ada"))["you"] == joined["you"]
        await nodes.until_nobody_is_left()


async def test_a_session_switches_between_rooms_of_different_nodes_and_back(media_server: str) -> None:
    async with three(media_server) as nodes:
        async with open_client(nodes.url("one")) as ada, open_client(nodes.url("three")) as bob:
            await bob.join("green", "Bob")
            await ada.join("red", "Ada")
            for room in ("green", "blue", "green", "red", "blue", "red"):
                switched = await ada.ask("switch", room=room)
                assert (switched["type"], switched["room"], switched["you"]) == ("joined", room, ada.me)
                there = [person["name"] for person in switched["participants"]]
                assert there == (["Bob", "Ada"] if room == "green" else ["Ada"])
            for _ in range(2):
                await bob.expect("participantJoined")
                assert (await bob.expect("participantLeft"))["reason"] == "switched"
        await nodes.until_nobody_is_left()


async def test_a_refused_switch_leaves_the_session_where_it_was(media_server: str) -> None:
    async with three(media_server, max_people=1) as nodes:
        async with open_client(nodes.url("one")) as ada, open_client(nodes.url("two")) as bob:
            await bob.join("green", "Bob")
            refused = await ada.ask("join", room="green", name="Ada")
            assert (refused["code"], refused["message"]) == ("room_full", "join")
            for room in ("red", "blue"):
                assert (await ada.ask("join" if room == "red" else "switch", room=room))["type"] == "joined"
                refused = await ada.ask("switch", room="green")
                assert (refused["code"], refused["message"]) == ("room_full", "switch")
                assert (await ada.ask("chat", text="still here"))["type"] == "chat"
        await nodes.until_nobody_is_left()


async def test_news_of_the_room_before_do_not_reach_a_browser_that_is_elsewhere(media_server: str) -> None:
    async with (
        three(media_server) as nodes,
        open_client(nodes.url("one")) as ada,
        open_client(nodes.url("two")) as bob,
    ):
        await bob.join("green", "Bob")
        await ada.join("green", "Ada")
        two = nodes.buses["two"]
        # The node of the room before learns only later that its session is gone.
        two.hold_after = Move
        assert (await ada.ask("switch", room="blue"))["type"] == "joined"
        for number in range(20):
            await bob.ask("chat", text=str(number))
        assert [told.payload for told in two.messages_to("one") if isinstance(told, Told)]
        await ada.ask("ping")
        after = ada.seen[[message.get("room") for message in ada.seen].index("blue") :]
        assert [message["type"] for message in after] == ["joined", "roomState", "pong"]
        two.flows.set()
        assert (await bob.expect("participantLeft"))["participant"] == ada.me


async def test_what_a_room_tells_many_browsers_of_a_node_is_one_message_for_it(media_server: str) -> None:
    async with three(media_server) as nodes, AsyncExitStack() as stack:
        bob = await stack.enter_async_context(open_client(nodes.url("two")))
        await bob.join("green", "Bob")
        others = [await stack.enter_async_context(open_client(nodes.url("one"))) for _ in range(8)]
        for number, client in enumerate(others):
            await client.join("green", f"Person {number}")
        await bob.ask("chat", text="to all")
        for client in others:
            assert (await client.expect("chat"))["line"]["text"] == "to all"
        told = [message for message in nodes.buses["two"].messages_to("one") if isinstance(message, Told)]
        assert [len(one.connections) for one in told if b"to all" in one.payload] == [8]


async def test_a_lost_browser_comes_back_over_any_node(media_server: str) -> None:
    async with three(media_server) as nodes:
        async with open_client(nodes.url("three")) as bob:
            await bob.join("green", "Bob")
            token = bob.welcome["resumeToken"]
            async with open_client(nodes.url("one")) as ada:
                await ada.join("green", "Ada")
                first = ada.welcome["resumeToken"]
                await ada.websocket._stream.aclose()
            await bob.expect("participantChanged")
            nodes.know_tokens()
            async with open_client(nodes.url("three")) as back:
                resumed = await back.ask("resume", token=first)
                assert (resumed["type"], resumed["you"], resumed["room"]) == ("joined", ada.me, "green")
                assert (await back.ask("chat", text="back"))["line"]["participant"] == ada.me
                nodes.know_tokens()
                # The other connection seems to be alive still.
                async with open_client(nodes.url("two")) as again:
                    resumed = await again.ask("resume", token=back.welcome["resumeToken"])
                    assert resumed["you"] == ada.me
                    assert await back.closed() == CloseCode.RESUMED_ELSEWHERE
                    unknown = await open_and_resume(nodes.url("one"), "no-such-token")
                    assert unknown["code"] == "session_unknown"
            assert token != first
        await nodes.until_nobody_is_left()


async def open_and_resume(url: str, token: str) -> Any:
    async with open_client(url) as client:
        return await client.ask("resume", token=token)


async def test_a_goodbye_ends_the_session_at_the_other_node(media_server: str) -> None:
    async with three(media_server) as nodes, open_client(nodes.url("two")) as bob:
        await bob.join("green", "Bob")
        async with open_client(nodes.url("one")) as ada:
            await ada.join("green", "Ada")
        assert (await bob.expect("participantLeft"))["reason"] == "left"


async def test_if_a_link_breaks_the_browsers_behind_it_come_back(media_server: str) -> None:
    async with (
        three(media_server) as nodes,
        open_client(nodes.url("one")) as ada,
        open_client(nodes.url("three")) as bob,
        open_client(nodes.url("one")) as eve,
    ):
        for client, room in ((ada, "green"), (bob, "green"), (eve, "red")):
            await client.join(room, "X")
        nodes.know_tokens()
        nodes.buses["one"].break_off("two")
        assert await ada.closed() == CloseCode.GOING_AWAY
        for client in (bob, eve):
            assert (await client.ask("ping"))["type"] == "pong"
        assert (await open_and_resume(nodes.url("one"), ada.welcome["resumeToken"]))["you"] == ada.me


async def test_if_a_node_is_gone_before_it_answers_the_browser_comes_back(media_server: str) -> None:
    async with three(media_server) as nodes, open_client(nodes.url("one")) as ada:
        await ada.join("red", "Ada")
        nodes.buses["two"].flows = trio.Event()
        await ada.send("switch", room="green")
        await nodes.buses["one"].until_sent(Open)
        nodes.buses["one"].break_off("two")
        assert await ada.closed() == CloseCode.GOING_AWAY
        back = await open_and_resume(nodes.url("one"), ada.welcome["resumeToken"])
        assert (back["you"], back["room"]) == (ada.me, "red")


async def test_a_room_that_has_moved_is_found_at_its_new_node(media_server: str) -> None:
    async with three(media_server) as nodes, open_client(nodes.url("one")) as ada:
        # One is told the old node, and that one says that it is not there.
        nodes.maps["one"]._homes = {"green": "two"}
        nodes.maps["two"]._homes = {"green": "three"}
        # Three times in vain, then the browser has to ask again.
        assert (await ada.ask("join", room="green"))["code"] == "room_closed"
        nodes.homes["green"] = "three"
        nodes.maps["one"]._homes = nodes.homes
        assert (await ada.ask("join", room="green"))["type"] == "joined"


async def test_a_room_whose_node_cannot_be_found_out_is_refused(media_server: str) -> None:
    async with three(media_server) as nodes, open_client(nodes.url("one")) as ada:
        nodes.maps["one"].fault = ErrorCode.STORE_UNAVAILABLE
        assert (await ada.ask("join", room="green"))["code"] == "store_unavailable"


async def test_a_browser_that_sends_too_much_is_closed_at_its_edge(media_server: str) -> None:
    async with (
        three(media_server, message_burst=20, message_rate=1.0) as nodes,
        open_client(nodes.url("one")) as ada,
        open_client(nodes.url("two")) as bob,
    ):
        await bob.join("green", "Bob")
        await ada.join("green", "Ada")
        with suppress(ConnectionClosed):
            for _ in range(30):
                await ada.send("ping")
        assert await ada.closed() == CloseCode.POLICY_VIOLATION
        # The session is over, wherever it lives.
        assert (await bob.expect("participantLeft"))["participant"] == ada.me
        assert sum(isinstance(one, Said) for one in nodes.buses["one"].messages_to("two")) < 20


async def test_what_is_said_behind_a_switch_is_answered_in_the_new_room(media_server: str) -> None:
    """At whichever node the session was."""
    for before in ("red", "green"):
        async with three(media_server) as nodes, open_client(nodes.url("one")) as ada:
            await ada.join(before, "Ada")
            switched = await ada.send("switch", room="blue")
            said = [await ada.send("chat", text=str(number)) for number in range(3)]
            pinged = await ada.send("ping")
            assert (await ada.expect(ref=switched))["room"] == "blue"
            for number, ref in enumerate(said):
                assert (await ada.expect(ref=ref))["line"]["text"] == str(number)
            assert (await ada.expect(ref=pinged))["type"] == "pong"
            room = nodes.directory("three").find("blue")
            assert room is not None
            assert len(room.people) == 1


async def test_a_browser_that_is_gone_behind_a_switch_leaves_nobody_behind(media_server: str) -> None:
    async with three(media_server, resume_window=0.2) as nodes:
        for before in ("red", "green"):
            async with open_client(nodes.url("one")) as ada:
                await ada.join(before, "Ada")
                await ada.send("switch", room="blue")
        await nodes.until_nobody_is_left()


async def test_a_browser_that_comes_back_while_its_session_moves_is_not_left_alone(media_server: str) -> None:
    async with (
        three(media_server) as nodes,
        open_client(nodes.url("one")) as ada,
        open_client(nodes.url("one")) as back,
    ):
        await ada.join("red", "Ada")
        nodes.know_tokens()
        nodes.buses["one"].flows = trio.Event()
        await ada.send("switch", room="green")
        await nodes.buses["one"].until_sent(Open)
        await back.send("resume", token=ada.welcome["resumeToken"])
        assert await ada.closed() == CloseCode.RESUMED_ELSEWHERE
        nodes.buses["one"].flows.set()
        # The session is at the other node by now, and the browser finds it there.
        assert await back.closed() == CloseCode.TRY_AGAIN_LATER
        nodes.know_tokens()
        again = await open_and_resume(nodes.url("one"), ada.welcome["resumeToken"])
        assert (again["you"], again["room"]) == (ada.me, "green")


async def test_who_waits_in_a_lobby_at_another_node_is_found_there(media_server: str) -> None:
    async with (
        three(media_server) as nodes,
        open_client(nodes.url("two")) as bob,
        open_client(nodes.url("one")) as ada,
    ):
        await bob.join("green", "Bob")
        await bob.ask("configure", lobby=True)
        await ada.send("join", room="green", name="Ada")
        await ada.expect("knocking")
        reply = await open_and_resume(nodes.url("three"), ada.welcome["resumeToken"])
        assert reply["code"] == "ended"


async def test_a_room_that_nobody_was_let_into_keeps_no_node(media_server: str) -> None:
    async with (
        three(media_server, max_rooms=1) as nodes,
        open_client(nodes.url("one")) as ada,
        open_client(nodes.url("one")) as bob,
    ):
        await ada.join("red", "Ada")
        assert (await bob.ask("join", room="pink", name="Bob"))["code"] == "server_full"
        assert nodes.maps["one"].given_back == ["pink"]
