"""Given people in another network than the server, phones get a camera, and media find a way past a firewall."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PHONE, chromium, new_person
from tests.browser.test_broadcast import broadcasts, decodes, until
from tests.coturn import SECRET, coturn
from tests.networks import SERVER, TURN, Networks, NoNetwork, two_networks
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

MEDIA_TCP_PORT = 4433
TO_MEDIA_BY_TCP = ("ipproto", "tcp", "dport", str(MEDIA_TCP_PORT))

GOES = """async (way) => {
  const deadline = performance.now() + 60000;
  for (;;) {
    const ways = [];
    for (const [, peer] of window.roomfsm.peerConnections()) {
      const stats = await peer.getStats();
      for (const report of stats.values())
        if (report.type === 'transport' && report.selectedCandidatePairId) {
          const pair = stats.get(report.selectedCandidatePairId);
          const { candidateType, relayProtocol, protocol } = stats.get(pair?.localCandidateId) ?? {};
          if (candidateType) ways.push(relayProtocol ? `relay by ${relayProtocol}` : `direct by ${protocol}`);
        }
    }
    if (ways.length === 1 && ways[0] === way) return;
    if (performance.now() > deadline) throw new Error(`${ways}, not ${way}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}"""
"""Waits until the media of the page's only stream go by this way."""

WATCH = """() => {
  window.ended = [];
  window.roomfsm.connection.on('message', ({type, stream}) => type === 'streamEnded' && window.ended.push(stream));
  window.before = [...window.roomfsm.peerConnections().values()];
}"""
SAME = """() => {
  const now = [...window.roomfsm.peerConnections().values()];
  return {ended: window.ended, same: now.length === 1 && now[0] === window.before[0]};
}"""
"""Whether the page still has the peer connection that it had, and which streams have ended."""

type Open = Callable[[str, str], Page]


@pytest.fixture(scope="module")
def networks() -> Iterator[Networks]:
    try:
        with two_networks() as networks:
            yield networks
    except NoNetwork as error:
        pytest.skip(f"no network namespace for the test: {error}")


@pytest.fixture(scope="module")
def program(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The server with a certificate of its own, and coturn at another address of its network."""
    folder = tmp_path_factory.mktemp("server")
    with (
        coturn(folder, TURN, media=SERVER, within=networks.server) as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_STATE_HOME", str(folder))
        uris = (f"--turn-uri=turn:{TURN}:{port}?transport={way}" for way in ("udp", "tcp"))
        options = ("--tls=self-signed", "--host=0.0.0.0", f"--turn-secret={SECRET}")
        media = (f"--media-host={SERVER}", f"--media-tcp-port={MEDIA_TCP_PORT}")
        with running(folder, *options, *media, *uris, within=networks.server) as program:
            yield program
            assert program.end() == 0
        assert "Traceback" not in program.log.read_text()


@pytest.fixture(scope="module")
def browser(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium in the other network."""
    with chromium(lambda program: networks.program(program, tmp_path_factory.mktemp("visitor"))) as browser:
        yield browser


@pytest.fixture
def open_phone(browser: Browser, program: Program) -> Iterator[Open]:
    """Opens a room on a phone. Its user has said yes to the warning of the certificate."""
    pages: list[Page] = []

    def open_phone(room: str, name: str) -> Page:
        context = new_person(
            browser, name, ignore_https_errors=True, viewport=PHONE, is_mobile=True, has_touch=True
        )
        pages.append(context.new_page())
        pages[-1].goto(f"https://{SERVER}:{program.port}/r/{room}")
        return pages[-1]

    yield open_phone
    for page in pages:
        page.context.close()


def broadcast_arrives(open_phone: Open, room: str, way: str) -> tuple[Page, Page]:
    """A viewer decodes a presenter's picture, and the media of both go by this way."""
    ada, bob = open_phone(room, "Ada"), open_phone(room, "Bob")
    assert ada.evaluate("window.isSecureContext && navigator.mediaDevices !== undefined")
    broadcasts(ada)
    decodes(bob)
    for page in (ada, bob):
        # A busy browser may use another way first, until it knows the best one.
        page.evaluate(GOES, way)
    return ada, bob


def test_phones_in_the_same_network_get_a_camera_and_see_each_other(open_phone: Open) -> None:
    broadcast_arrives(open_phone, "near", "direct by udp")


def test_media_go_through_turn_over_udp_where_udp_to_the_server_is_blocked(
    open_phone: Open, networks: Networks
) -> None:
    with networks.without("ipproto", "udp", "to", SERVER), networks.without(*TO_MEDIA_BY_TCP):
        broadcast_arrives(open_phone, "behind", "relay by udp")


def test_media_go_through_turn_over_tcp_where_all_udp_is_blocked(open_phone: Open, networks: Networks) -> None:
    with networks.without("ipproto", "udp"), networks.without(*TO_MEDIA_BY_TCP):
        broadcast_arrives(open_phone, "deep", "relay by tcp")


def test_media_go_to_the_server_over_tcp_where_all_udp_is_blocked(open_phone: Open, networks: Networks) -> None:
    """Also those of somebody who comes later, and after all these connections were cut."""
    with networks.without("ipproto", "udp"):
        ada, bob = broadcast_arrives(open_phone, "plain", "direct by tcp")
        eve = open_phone("plain", "Eve")
        decodes(eve)
        for page in (ada, bob, eve):
            page.evaluate(WATCH)
        if not networks.cut(f"sport = {MEDIA_TCP_PORT}"):
            return  # This system cannot cut connections. tests/mediaserver/engine/test_tcp.py ends some.
        for page in (bob, eve):
            (before,) = until(page, "videos.length === 1")
            # More than what was on its way.
            until(page, f"videos[0]?.frames > {before['frames']} + 20")
        for page in (ada, bob, eve):
            page.evaluate(GOES, "direct by tcp")
            assert page.evaluate(SAME) == {"ended": [], "same": True}


def test_after_a_change_of_the_address_the_same_streams_go_on_over_a_new_path(
    open_phone: Open, networks: Networks
) -> None:
    ada, bob = open_phone("moving", "Ada"), open_phone("moving", "Bob")
    broadcasts(ada)
    decodes(bob)
    for page in (ada, bob):
        page.evaluate(WATCH)
    with networks.moved():
        (before,) = until(bob, "videos.length === 1")
        until(bob, f"videos[0]?.frames > {before['frames']} + 50")
        for page in (ada, bob):
            expect(page.get_by_test_id("connection-state")).to_have_text("Connected")
            assert page.evaluate(SAME) == {"ended": [], "same": True}
        expect(bob.get_by_test_id("tile")).to_have_attribute("data-state", "live")
        expect(ada.get_by_test_id("stop-camera")).to_be_visible()
