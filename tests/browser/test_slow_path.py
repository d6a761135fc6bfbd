"""Given a viewer with a path too slow for the picture, it is told so, and gets the picture when that is over."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_broadcast import broadcasts, decodes, photograph, speaks
from tests.mediaserver.bottleneck import Bottleneck, open_bottleneck
from tests.ports import reserved_port
from tests.system.program import Program, running

pytestmark = [pytest.mark.browser, pytest.mark.alone]

HOST = "127.0.0.1"
SLOW, FAST = 120_000, 20_000_000
"""The rate of the slow path in bit/s."""
NOTICE = "Your connection is too slow for the picture. You still hear the sound."
THROUGH = """{
  const narrow = (text) => text.replaceAll(' %(server)d typ', ' %(narrow)d typ');
  const {setRemoteDescription, addIceCandidate} = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = function ({type, sdp}) {
    return setRemoteDescription.call(this, {type, sdp: narrow(sdp)});
  };
  RTCPeerConnection.prototype.addIceCandidate = function ({candidate, sdpMid, sdpMLineIndex}) {
    return addIceCandidate.call(this, {candidate: narrow(candidate), sdpMid, sdpMLineIndex});
  };
}"""
"""Makes a page reach the media server only through the bottleneck."""


@pytest.fixture(scope="module")
def media_port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, media_port: int) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("server"), f"--media-port={media_port}") as program:
        yield program


@pytest.fixture
def bottleneck(media_port: int) -> Iterator[Bottleneck]:
    with open_bottleneck(HOST, media_port, SLOW) as bottleneck:
        yield bottleneck


def test_a_viewer_too_slow_for_the_picture_is_told_and_gets_it_later(
    open_page: OpenPage, bottleneck: Bottleneck, media_port: int
) -> None:
    room = f"/r/room-{uuid.uuid4().hex[:8]}"
    ada, bob = open_page(room, "Ada"), open_page(room, "Bob")
    broadcasts(ada)
    speaks(ada)
    decodes(bob)
    eve = open_page(room, "Eve", script=THROUGH % {"server": media_port, "narrow": bottleneck.port})
    tile = eve.get_by_test_id("tile")
    expect(tile).to_have_attribute("data-state", "limited")
    expect(tile).to_contain_text(NOTICE)
    photograph(eve, "slow-path")
    decodes(bob)
    expect(bob.get_by_test_id("tile")).to_have_attribute("data-state", "live")
    bottleneck.rate = FAST
    expect(tile).to_have_attribute("data-state", "live")
    expect(tile).not_to_contain_text(NOTICE)
    decodes(eve)
