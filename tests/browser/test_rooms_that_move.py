"""Given three nodes on one media server, when a room moves from one to another, then its pictures go on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request, urlopen

import coredis
import pytest
from playwright.sync_api import Browser, expect

from roomfsm.kurento.settings import KurentoSettings
from roomfsm.kurento.visit import open_visit
from roomfsm.store.redis_keys import HOME
from tests.browser.test_broadcast import broadcasts, decodes, until
from tests.browser.test_server_killed import COUNTS_OFFERS, LOOKS, MARK, page_of, received
from tests.nodes.entrance import Entrance, open_entrance
from tests.processes import LOADED, media_server_program
from tests.redis_server import redis_server
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

NAMES = ("one", "two", "three")
LEASE = 1.5


def eventually[T](ask: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """What is answered, once it is as it must be. Another process does not tell when, so it is asked again."""
    late = time.monotonic() + LOADED
    while not holds(answer := ask()):
        assert time.monotonic() < late, answer
        time.sleep(0.05)
    return answer


class Nodes:
    """Three nodes, and the room that they share."""

    def __init__(self, entrance: Entrance, redis: str, media: str, room: str) -> None:
        self.programs: dict[str, Program] = {}
        self._entrance, self._redis, self._media, self._room = entrance, redis, media, room

    def avoid(self, *names: str) -> None:
        """Let pages come back to other nodes than these."""
        self._entrance.ports = [program.port for name, program in self.programs.items() if name not in names]

    def home(self) -> str:
        """The name of the node on which the room lives."""

        async def ask() -> bytes:
            async with coredis.Redis.from_url(self._redis) as client:
                return (await client.hgetall(HOME)).get(self._room.encode(), b"")

        return self._entrance.ask(ask).decode().partition("/")[0]

    def pipelines(self) -> list[str]:
        """What the media server holds."""

        async def ask() -> list[str]:
            async with open_visit(self._media, KurentoSettings()) as visit:
                return await visit.pipelines()

        return self._entrance.ask(ask)

    def open_room_at(self, name: str) -> None:
        """Have the room live on this node."""
        asks = {"Authorization": "Bearer very-secret-token", "Content-Type": "application/json"}
        body = json.dumps({"name": self._room}).encode()
        with urlopen(Request(f"{self.programs[name].address}api/v1/rooms", body, asks), timeout=LOADED) as answer:
            assert answer.status == 201
        assert self.home() == name


def test_pictures_go_on_when_their_room_moves_to_another_node(
    browser: Browser, tmp_path: Path, room_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROOMFSM_DATA")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(tmp_path))
        media, _ = stack.enter_context(media_server_program())
        entrance = stack.enter_context(open_entrance())
        nodes = Nodes(entrance, redis, media, room_name)
        for name in NAMES:
            (folder := tmp_path / name).mkdir()
            arguments = (f"--store={redis}", f"--node={name}", f"--node-lease={LEASE}", f"--kurento={media}")
            nodes.programs[name] = stack.enter_context(
                running(folder, "--admin-token=very-secret-token", "--inspect=false", *arguments)
            )
        nodes.open_room_at("one")
        nodes.avoid("one")
        address = f"http://localhost:{entrance.port}/r/{room_name}"
        ada, bob = pages = [
            stack.enter_context(page_of(browser, name, address, COUNTS_OFFERS)) for name in ("Ada", "Bob")
        ]
        broadcasts(ada)
        decodes(bob)
        bob.evaluate(MARK)
        bob.evaluate(LOOKS)
        before, offers = received(bob)[1], [page.evaluate("window.offers") for page in pages]
        gaps: dict[str, float] = {}

        def is_as_before(how: str) -> None:
            for page in pages:
                expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
                expect(page.get_by_test_id("roster-entry")).to_have_count(2)
            decodes(bob)
            expect(bob.get_by_test_id("tile")).to_have_attribute("data-state", "live")
            assert received(bob)[1] == before
            assert [page.evaluate("window.offers") for page in pages] == offers
            gaps[how] = bob.evaluate("() => { const {gap} = window; window.gap = 0; return gap; }")

        def leave(how: str) -> Program:
            """The node on which the room lives. Pages that have to come back go to the others."""
            nodes.avoid(homes.setdefault(how, nodes.home()))
            return nodes.programs[homes[how]]

        def moves(how: str) -> None:
            eventually(nodes.home, lambda name: name not in ("", homes[how]))
            is_as_before(how)

        homes: dict[str, str] = {}
        hung = leave("hung")
        hung.process.send_signal(signal.SIGSTOP)
        # While nobody has the room, too.
        decodes(bob)
        moves("hung")
        hung.process.send_signal(signal.SIGCONT)
        # It learns that it has lost the room, and ends what it has of it.
        eventually(hung.log.read_text, lambda log: "room goes on at another server" in log and "room ended" in log)
        is_as_before("woke up")

        leave("killed").process.kill()
        decodes(bob)
        moves("killed")

        ended = leave("ended")
        assert ended.end() == 0
        moves("ended")
        # It has given its room away itself.
        _, _, log = ended.log.read_text().rpartition("server ends")
        assert "room goes on at another server" in log
        assert "without a goodbye" not in log

        print(json.dumps({"gaps": gaps}))
        # The last of them ends what the first has begun.
        ada.get_by_test_id("stop-camera").click()
        until(bob, "videos.length === 0")
        assert eventually(nodes.pipelines, lambda found: found == []) == []
    for name in NAMES:
        assert "Traceback" not in (tmp_path / name / "server.log").read_text()
