"""From a late viewer's click on a room to the first frame on its screen, in real Chromium: median and range.

Reference in the same browser: two RTCPeerConnections of one page, no server between, from offer to first frame.
Run it with `uv run python -m tests.bench.first_frame`.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import FLAGS
from tests.system.program import running

ROUNDS = 15

WATCH = """() => {
  let clicked = 0, shown;
  // A click begins a measurement: `firstFrame` becomes a promise of the milliseconds that it takes.
  document.addEventListener('click', () => {
    clicked = performance.now();
    window.firstFrame = new Promise((resolve) => { shown = resolve; });
  }, true);
  const watch = (video) => video.requestVideoFrameCallback(
    () => { if (clicked) shown(performance.now() - clicked); });
  new MutationObserver(() => document.querySelectorAll('video').forEach((video) => {
    if (!video.watched) { video.watched = true; watch(video); }
  })).observe(document.documentElement, {childList: true, subtree: true});
}"""

DIRECT = """async () => {
  const stream = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}, audio: true});
  const began = performance.now();
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  from.onicecandidate = ({candidate}) => to.addIceCandidate(candidate);
  to.onicecandidate = ({candidate}) => from.addIceCandidate(candidate);
  const video = document.createElement('video');
  video.muted = true;
  document.body.append(video);
  const shown = new Promise(
    (resolve) => video.requestVideoFrameCallback(() => resolve(performance.now() - began)));
  to.ontrack = ({streams}) => { video.srcObject = streams[0]; video.play(); };
  for (const track of stream.getTracks()) from.addTrack(track, stream);
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription);
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription);
  const took = await shown;
  from.close(); to.close(); video.remove();
  for (const track of stream.getTracks()) track.stop();
  return took;
}"""


def late_view(page: Page) -> float:
    """Click the room in the lobby, see the first frame, go back; milliseconds."""
    page.get_by_test_id("room-link").first.click()
    took = float(page.evaluate("window.firstFrame"))
    page.get_by_test_id("leave-room").click()
    expect(page.get_by_test_id("room-link")).to_have_count(1)
    return took


def row(what: str, figures: list[float]) -> str:
    return f"{what:42} {statistics.median(figures):6.0f} {min(figures):6.0f} {max(figures):6.0f}"


def main() -> None:
    """Measure and print."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("no Chromium: set CHROMIUM to its path")
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder)) as program,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        presenter, viewer = (
            browser.new_context(permissions=["camera", "microphone"]).new_page() for _ in range(2)
        )
        # A page whose name is known is not asked how it takes part.
        for page in (presenter, viewer):
            page.add_init_script("localStorage.setItem('roomfsm.name', 'Bench')")
        presenter.goto(f"{program.address}r/bench")
        presenter.get_by_test_id("start-camera").click()
        expect(presenter.get_by_test_id("stop-camera")).to_be_visible()
        viewer.goto(program.address)
        viewer.evaluate(WATCH)
        late = [late_view(viewer) for _ in range(ROUNDS + 1)][1:]
        direct = [float(viewer.evaluate(DIRECT)) for _ in range(ROUNDS + 1)][1:]
        browser.close()
    print(f"{'milliseconds':42} median    min    max")
    print(row("late viewer, click to first frame", late))
    print(row("reference: one page, no server", direct))
    print(f"ratio of the medians: {statistics.median(late) / statistics.median(direct):.2f}")


if __name__ == "__main__":
    main()
