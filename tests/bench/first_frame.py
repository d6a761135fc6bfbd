"""How long somebody waits for the first picture, in real Chromium: after a jump, and coming late.

Each time begins with the click on the room's name. It ends when the first frame has been decoded (the `<video>`
has it: `loadeddata`), and a second figure says when it was on the screen (`requestVideoFrameCallback`). With
`--marks`, the bench also prints what happened between the click and the frame, as the page sees it.

Reference in the same browser: two RTCPeerConnections of one page, no server between, from offer to first frame.
Run it with `uv run python -m tests.bench.first_frame [--rounds 20] [--marks]` while nothing else runs: the cameras
of the presenters are encoded on the same machine.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import chromium, new_person
from tests.system.program import running

MARKS = """{
  // `marks` are [what, milliseconds since the newest click on a room]. `frame` is a promise of the two times.
  const of = (what) => window.marks?.push([what, performance.now() - begun]);
  let begun = 0, decoded = () => {}, shown = () => {};
  document.addEventListener('click', ({target}) => {
    if (!target.closest('[data-testid="jump-link"], [data-testid="room-link"]')) return;
    begun = performance.now();
    window.marks = [];
    window.frame = Promise.all([
      new Promise((resolve) => { decoded = resolve; }),
      new Promise((resolve) => { shown = resolve; }),
    ]);
  }, true);
  document.addEventListener('loadeddata', ({target}) => {
    of('frame decoded');
    decoded(performance.now() - begun);
    target.requestVideoFrameCallback(() => shown(performance.now() - begun));
  }, true);
  const {send} = WebSocket.prototype;
  WebSocket.prototype.send = function (text) {
    of(`> ${JSON.parse(text).type}`);
    return send.call(this, text);
  };
  const Socket = WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...options) {
      super(...options);
      of('websocket asked for');
      this.addEventListener('message', ({data}) => of(`< ${JSON.parse(data).type}`));
    }
  };
  const Plain = RTCPeerConnection;
  window.RTCPeerConnection = class extends Plain {
    constructor(...options) {
      super(...options);
      of('peer made');
      this.addEventListener('iceconnectionstatechange', () => of(`ice ${this.iceConnectionState}`));
      this.addEventListener('connectionstatechange', () => of(`peer ${this.connectionState}`));
      this.addEventListener('track', ({track}) =>
        track.addEventListener('unmute', () => of(`${track.kind} comes`)));
    }
  };
  for (const method of ['createOffer', 'setLocalDescription', 'setRemoteDescription']) {
    const called = Plain.prototype[method];
    Plain.prototype[method] = async function (...options) {
      const done = await called.apply(this, options);
      of(method);
      return done;
    };
  }
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
  const decoded = new Promise((resolve) =>
    video.addEventListener('loadeddata', () => resolve(performance.now() - began)));
  const shown = new Promise(
    (resolve) => video.requestVideoFrameCallback(() => resolve(performance.now() - began)));
  to.ontrack = ({streams}) => { video.srcObject = streams[0]; video.play(); };
  for (const track of stream.getTracks()) from.addTrack(track, stream);
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription);
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription);
  const took = [await decoded, await shown];
  from.close(); to.close(); video.remove();
  for (const track of stream.getTracks()) track.stop();
  return took;
}"""

type Marks = list[tuple[str, float]]


class Waits:
    """The times of one kind of wait, in milliseconds."""

    def __init__(self) -> None:
        self.decoded: list[float] = []
        self.shown: list[float] = []
        self.marks: list[Marks] = []

    def add(self, both: list[float], marks: Marks | None = None) -> None:
        self.decoded.append(both[0])
        self.shown.append(both[1])
        self.marks.append(marks or [])

    def timeline(self) -> list[str]:
        """Each mark that most of the waits have, with its median, in order."""
        found: dict[str, list[float]] = defaultdict(list)
        for marks, end in zip(self.marks, self.decoded, strict=True):
            count: dict[str, int] = defaultdict(int)
            for what, at in marks:
                count[what] += 1
                if at <= end + 1:
                    found[f"{what} {count[what]}" if count[what] > 1 else what].append(at)
        often = {what: times for what, times in found.items() if len(times) > len(self.marks) / 2}
        medians = sorted((statistics.median(times), what) for what, times in often.items())
        return [f"    {at:6.0f}  {what}" for at, what in medians]


def jump(page: Page, room: str, waits: Waits) -> None:
    """Go to the other room by its link beside the stage."""
    link = page.locator(f'[data-testid="jump-link"][data-room="{room}"]')
    expect(link).to_have_count(1)
    link.evaluate("(link) => link.click()")
    waits.add(page.evaluate("window.frame"), page.evaluate("window.marks"))
    expect(page.locator("[data-testid=tile][data-state=live]")).to_have_count(1)


def come_late(page: Page, waits: Waits) -> None:
    """Click the room on the start page, see the first frame, and go back."""
    page.get_by_test_id("room-link").first.click()
    waits.add(page.evaluate("window.frame"), page.evaluate("window.marks"))
    page.get_by_test_id("leave-room").click()
    expect(page.get_by_test_id("room-link").first).to_be_visible()


def row(what: str, times: list[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[round(0.95 * (len(ordered) - 1))]
    return f"{what:44} {statistics.median(ordered):6.0f} {p95:6.0f} {ordered[0]:6.0f} {ordered[-1]:6.0f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--marks", action="store_true", help="print the medians of what the page saw meanwhile")
    options = parser.parse_args()
    jumps, late, direct = Waits(), Waits(), Waits()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as program, chromium() as browser:
        address = program.address.rstrip("/")

        def page(name: str, path: str) -> Page:
            page = new_person(browser, name, MARKS, viewport={"width": 1280, "height": 800}).new_page()
            page.goto(address + path)
            return page

        for name, room in (("Ada", "one"), ("Bob", "two")):
            presenter = page(name, f"/r/{room}")
            expect(presenter.get_by_test_id("connection-state")).to_have_text("Connected")
            presenter.get_by_test_id("start-camera").click()
            expect(presenter.locator("[data-testid=own-tile][data-state=live]")).to_have_count(1)
        viewer = page("Eve", "/r/one")
        expect(viewer.locator("[data-testid=tile][data-state=live]")).to_have_count(1)
        for number in range(options.rounds + 1):
            jump(viewer, ("two", "one")[number % 2], jumps if number else Waits())
        viewer.context.close()
        viewer = page("Eve", "/")
        for number in range(options.rounds + 1):
            come_late(viewer, late if number else Waits())
        for number in range(options.rounds + 1):
            (direct if number else Waits()).add(viewer.evaluate(DIRECT))
    print(f"{'milliseconds':44} median    p95    min    max")
    for what, waits in (
        ("a jump to another room", jumps),
        ("a late viewer", late),
        ("reference: one page, no server", direct),
    ):
        print(row(f"{what}: first frame decoded", waits.decoded))
        print(row(f"{'':{len(what)}}  on the screen", waits.shown))
        if options.marks and waits is not direct:
            print("\n".join(waits.timeline()))


if __name__ == "__main__":
    main()
