"""Given a picture that was drawn once, when a viewer comes later, then it sees the picture, on any worker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from roomfsm.mediaserver.base.settings import EngineSettings
from tests.browser.conftest import OpenPage
from tests.browser.test_broadcast import broadcasts, photograph, until
from tests.system.program import Program, running

pytestmark = pytest.mark.browser

DRAWN_ONCE = """navigator.mediaDevices.getUserMedia = async () => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [640, 480];
  const context = canvas.getContext('2d');
  window.draw = (colour) => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 640, 480);
    context.font = '32px sans-serif';
    for (let line = 0; line < 12; line += 1) {
      context.fillStyle = `hsl(${line * 30} 80% 50%)`;
      context.fillText(`Drawn once, line ${line}`, 20, line * 40 + 34);
    }
  };
  window.scatter = () => {
    for (let spot = 0; spot < 600; spot += 1) {
      context.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`;
      context.fillRect(Math.random() * 640, Math.random() * 480, 20, 20);
    }
  };
  return canvas.captureStream();
};"""
"""Replaces the camera by a canvas."""
RED, GREEN = 0, 1
DRAW_UNTIL_LIVE = """async () => {
  while (document.querySelector('[data-testid=own-tile]').dataset.state !== 'live') {
    window.draw('rgb(0 192 64)');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}"""
CONNECTIONS = """const connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) {
    super(...options);
    connections.push(this);
  }
};
window.packetsSent = async () => {
  const all = await Promise.all(connections.map((one) => one.getStats()));
  const reports = all.flatMap((one) => [...one.values()]);
  const sent = reports.filter((report) => report.type === 'outbound-rtp' && report.kind === 'video');
  return sent.reduce((sum, report) => sum + report.packetsSent, 0);
};"""
MOVE = """async (packets) => {
  while (await window.packetsSent() < packets) {
    for (let frame = 0; frame < 15; frame += 1) {
      window.draw(`hsl(${Math.random() * 360} 80% 50%)`);
      window.scatter();
      await new Promise((resolve) => setTimeout(resolve, 33));
    }
  }
  window.draw('rgb(0 192 64)');
}"""
"""Draws changing pictures until so many packets were sent, and then a green one."""
SHOWS = """async (colour) => {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const deadline = performance.now() + 60000;
  for (;;) {
    let found = [];
    // The page may still be entering the room: then there is no tile yet.
    const video = document.querySelector('[data-testid=tile] video');
    if (video && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      context.drawImage(video, 0, 0);
      found = [...context.getImageData(canvas.width - 20, canvas.height / 2, 1, 1).data].slice(0, 3);
      if (found.every((value, index) => (value > 128) === (index === colour))) return;
    }
    if (performance.now() > deadline) throw new Error(`${found}, not ${colour}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}"""
"""Waits until the tile's picture is red or green at a place without text."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A program with two workers, to which viewers are assigned in turn."""
    with running(tmp_path_factory.mktemp("server"), "--media-workers=2") as program:
        yield program


def test_a_late_viewer_on_any_worker_sees_what_was_drawn_once(open_page: OpenPage) -> None:
    room = f"/r/room-{uuid.uuid4().hex[:8]}"
    ada = open_page(room, "Ada", script=DRAWN_ONCE)
    broadcasts(ada)
    # Pictures that are drawn before there is a connection are never sent.
    ada.evaluate(DRAW_UNTIL_LIVE)
    expect(ada.get_by_test_id("own-tile")).to_have_attribute("data-state", "stalled")
    for name in ("Bob", "Eve", "Zoe"):
        viewer = open_page(room, name)
        until(viewer, "videos.length === 1 && videos[0].frames > 0 && videos[0].width === 640")
        viewer.evaluate(SHOWS, GREEN)
    photograph(viewer, "silent-source")
    # The viewer continues to play when the picture changes.
    ada.evaluate("window.draw('rgb(192 0 0)')")
    viewer.evaluate(SHOWS, RED)


def test_a_late_viewer_sees_a_picture_that_moved_for_long_and_then_stood_still(open_page: OpenPage) -> None:
    """The server need not wait for a keyframe, because it has all packets since the last one."""
    room = f"/r/room-{uuid.uuid4().hex[:8]}"
    ada = open_page(room, "Ada", script=CONNECTIONS + DRAWN_ONCE)
    broadcasts(ada)
    ada.evaluate(DRAW_UNTIL_LIVE)
    ada.evaluate(MOVE, 1.5 * EngineSettings().nack_ring)
    expect(ada.get_by_test_id("own-tile")).to_have_attribute("data-state", "stalled")
    for name in ("Bob", "Eve", "Zoe"):
        viewer = open_page(room, name)
        viewer.evaluate(SHOWS, GREEN)
