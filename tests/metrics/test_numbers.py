"""Given a running server, when something happens in it, then the page says so in numbers."""

from __future__ import annotations

import os
import signal

import trio

from roomfsm.access.policy import Policies, Policy
from roomfsm.metrics.families import FAMILIES, Kind
from roomfsm.rooms.media_servers import id_of
from tests.metrics.scrape import BEARER, TOKEN, scrape
from tests.processes import media_server_program
from tests.protocol_client import open_client
from tests.serving import UNMETERED, serving
from tests.signaling.test_websocket import not_reading
from tests.web.http import get


async def test_rooms_people_and_sessions_are_counted_by_state_and_role(media_server: str) -> None:
    async with (
        serving(media_server, metrics_token=TOKEN) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
        open_client(server.url),
    ):
        await ada.join("blue")
        await bob.join("blue", "Bob")
        page = await scrape(server)
        assert page("roomfsm_rooms", state="waiting") == 1
        assert page("roomfsm_rooms") == 1
        assert page("roomfsm_people", role="moderator") == 1
        assert page("roomfsm_people", role="presenter") == 1
        assert page("roomfsm_sessions", state="joined") == 2
        assert page("roomfsm_sessions", state="connected") == 1
        assert page("roomfsm_server_state", state="open") == 1
        assert page("roomfsm_server_state") == 1
        assert page("roomfsm_join_seconds_count", message="join") == 2
        assert 0 < page("roomfsm_join_seconds_sum", message="join") < 60
        assert page("roomfsm_transitions_total", machine="room", trigger="join") == 2
        assert page("roomfsm_transitions_total", machine="session", trigger="join") == 2
        assert page("roomfsm_transitions_total", machine="server", trigger="opened") == 1
        assert page("roomfsm_connections") == 4


async def test_whoever_waits_in_a_lobby_is_counted_apart(media_server: str) -> None:
    async with (
        serving(media_server, metrics_token=TOKEN) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
    ):
        server.running.directory.policies = Policies(default=Policy(lobby=True))
        await ada.join("blue")
        await bob.send("join", room="blue", name="Bob")
        await bob.expect("knocking")
        page = await scrape(server)
        assert (page("roomfsm_people"), page("roomfsm_waiting")) == (1, 1)


async def test_the_machines_of_media_servers_and_of_the_administrator_are_counted_too(media_server: str) -> None:
    async with (
        serving(media_server, metrics_token=TOKEN, admin_token=TOKEN) as server,
        open_client(server.url) as ada,
    ):
        await ada.join("blue")
        json = {**BEARER, "Content-Type": "application/json"}
        drain = f"/api/v1/media-servers/{id_of(media_server)}/drain"
        drained = await get(server, drain, "POST", headers=json, stranger=True)
        assert drained.status < 300, drained.body
        locked = await get(
            server, "/api/v1/rooms/blue/lock", "PUT", b'{"locked": true}', headers=json, stranger=True
        )
        assert locked.status < 300, locked.body
        page = await scrape(server)
        assert page("roomfsm_transitions_total", machine="mediaServer", trigger="drainMediaServer") == 1
        assert page("roomfsm_transitions_total", machine="administrator") == 1


async def test_what_rooms_did_stays_counted_after_their_end(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN, linger=0.01) as server, open_client(server.url) as ada:
        for name in ("blue", "green"):
            await ada.join(name)
            await ada.ask("leave")
        while server.running.directory.rooms():  # noqa: ASYNC110
            await trio.sleep(0.01)
        page = await scrape(server)
        assert page("roomfsm_transitions_total", machine="room", trigger="join") == 2
        assert page("roomfsm_transitions_total", machine="room", trigger="expire") == 2
        assert page("roomfsm_rooms") == 0


async def test_pages_report_how_long_they_waited_for_a_picture(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server, open_client(server.url) as ada:
        for seconds in (0, 0.7, 600):
            assert (await ada.ask("ping", firstFrame=seconds))["type"] == "pong"
        for nonsense in (-0.1, 600.1, "1", [1], True):
            refused = await ada.ask("ping", firstFrame=nonsense)
            assert (refused["code"], refused["path"]) == ("malformed", "$.firstFrame")
        await ada.ask("ping")
        page = await scrape(server)
        assert page("roomfsm_first_frame_seconds_count") == 3
        assert page("roomfsm_first_frame_seconds_sum") == 600.7
        assert page("roomfsm_first_frame_seconds_bucket", le="1.0") == 2


async def test_switching_has_its_own_times(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server, open_client(server.url) as ada:
        await ada.join("blue")
        await ada.ask("switch", room="green")
        page = await scrape(server)
        assert page("roomfsm_join_seconds_count", message="switch") == 1
        assert page("roomfsm_join_seconds_count", message="join") == 1


async def test_refusals_are_counted_by_code_and_message_wherever_they_come_from(media_server: str) -> None:
    async with (
        serving(media_server, metrics_token=TOKEN, max_people=1) as server,
        open_client(server.url) as ada,
        open_client(server.url) as bob,
    ):
        await ada.ask("chat", text="too early")  # the session's table
        await ada.join("blue")
        await ada.ask("unpublish", stream="nobody.camera")  # the room's table
        await ada.ask("kick", participant="nobody")  # the seat's table
        await ada.ask("rename", name="\u200b")  # a name that is none
        await ada.ask("publish", source="camera", sdp="nonsense")  # the media server
        await bob.ask("join", room="blue")  # the room's door
        page = await scrape(server)
        for code, message in (
            ("illegal_in_state", "chat"),
            ("illegal_in_state", "unpublish"),
            ("no_such_participant", "kick"),
            ("malformed", "rename"),
            ("sdp_invalid", "publish"),
            ("room_full", "join"),
        ):
            assert page("roomfsm_refusals_total", code=code, message=message) == 1, (code, page.text)
        assert page("roomfsm_limits_hit_total", limit="room_full") == 1
        assert page("roomfsm_limits_hit_total") == 1


async def test_words_of_strangers_never_become_labels(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server, open_client(server.url) as ada:
        await ada.join("a-secret-room", "Ada Lovelace")
        for number in range(20):
            await ada.send("x" * number + "invented", room="a-secret-room")
            await ada.expect("error")
        await ada.send_text('{"type":7}')
        await ada.expect("error")
        page = await scrape(server)
        assert page("roomfsm_refusals_total", code="unknown_message", message="unknown") == 20
        assert page("roomfsm_refusals_total", code="malformed", message="none") == 1
        for word in ("invented", "a-secret-room", "Lovelace", ada.me, "127.0.0.1", TOKEN):
            assert word not in page.text


async def test_every_family_of_the_table_is_on_the_page_and_no_other_of_ours(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server:
        text = (await scrape(server)).text
    said = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE roomfsm_")}
    assert said == {family.name: str(family.kind) for family in FAMILIES}
    for standard in (
        "process_cpu_seconds_total",
        "process_open_fds",
        "python_gc_collections_total",
        "python_info",
    ):
        assert standard in text
    assert all(family.full_name.endswith("_total") == (family.kind is Kind.COUNTER) for family in FAMILIES)


async def test_a_browser_that_reads_slowly_is_seen_and_its_end_is_counted(media_server: str) -> None:
    async with (
        serving(media_server, metrics_token=TOKEN, message_rate=1e6, message_burst=10**6, **UNMETERED) as server,
        open_client(server.url) as ada,
    ):
        await ada.join("blue")
        deaf = await not_reading(server)
        await ada.expect("participantJoined")
        async with deaf:
            deepest = 0.0
            page = await scrape(server)
            assert page("roomfsm_outbox_max_bytes") == 0
            while page("roomfsm_slow_consumers_total") == 0:
                deepest = max(deepest, page("roomfsm_outbox_max_bytes"))
                for _ in range(100):
                    await ada.ask("chat", text="x" * 4000)
                page = await scrape(server)
                assert page("roomfsm_outbox_messages_gcount") >= 1
            assert deepest > 0
            assert page("roomfsm_websocket_closes_total", code="slow_consumer") == 1
            assert page("roomfsm_limits_hit_total", limit="slow_consumer") == 1


async def test_calls_to_the_media_server_are_counted_by_operation_and_outcome(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server, open_client(server.url) as ada:
        await ada.join("blue")
        assert (await ada.ask("publish", source="camera", sdp="nonsense"))["code"] == "sdp_invalid"
        page = await scrape(server)
        asked = {"method": "invoke", "operation": "processOffer"}
        assert page("roomfsm_media_calls_total", **asked, outcome="refused") == 1
        assert page("roomfsm_media_call_seconds_count", **asked) == 1
        assert page("roomfsm_media_calls_total", method="create", outcome="ok") == 2


async def test_a_scrape_takes_no_longer_when_the_media_server_hangs() -> None:
    with media_server_program() as (url, process):
        async with serving(url, metrics_token=TOKEN) as server:
            await server.running.directory._pool.wait_ready()
            os.kill(process.pid, signal.SIGSTOP)
            try:
                while True:
                    with trio.fail_after(30):
                        page = await scrape(server)
                    if page("roomfsm_media_stock_taken") == 0:
                        break
                # Nobody can say now what it holds, so there is no ledger that could seem to be right.
                assert "roomfsm_media_ledger{" not in page.text
                assert page("roomfsm_rooms") == 0
            finally:
                os.kill(process.pid, signal.SIGCONT)


async def test_many_who_ask_at_once_make_the_media_server_work_once(media_server: str) -> None:
    async with serving(media_server, metrics_token=TOKEN) as server:
        await scrape(server)
        before = server.running.directory._pool.calls.outcomes.total()
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(scrape, server)
        visit = 5
        assert server.running.directory._pool.calls.outcomes.total() - before <= 2 * visit + 2
