"""One connection for all that a participant receives, beside one for each presenter, in real Chromium.

A receiving page joins a room of so many presenters. Each sends a picture of 320 × 180 with 15 frames a second, and
sound. Sender and receiver are two Chromiums that talk directly to each other, so no server is measured. There are
three ways:

- *each*: a connection for each presenter, all negotiated at once, as roomfsm's page does;
- *one*: one connection with an m-line of audio and one of video for each presenter, all in one offer;
- *added*: one connection, to which the presenters are added one by one, each by an offer and an answer.

As with a media server, the receiver offers, does not wait for its own candidates, and learns the sender's from the
answer. The time is from the first call until every picture has been shown (`requestVideoFrameCallback`). CPU time
and memory are those of the receiver's processes. Run it with `uv run python -m tests.bench.connections` while
nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import trio

from tests.mediaserver.browsers import Page, open_chromium
from tests.mediaserver.test_browsers import page_server

WAYS = ("each", "one", "added")
_SETTLING = 3.0
"""Seconds after the last picture before the steady state is measured."""
_STEADY = 8.0
"""Seconds for which it is measured."""
_TICKS = os.sysconf("SC_CLK_TCK")
_NETWORK = "network.mojom.NetworkService"

SENDER = """(() => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [320, 180];
  const context = canvas.getContext('2d');
  let frame = 0;
  setInterval(() => {
    frame += 1;
    for (let x = 0; x < 320; x += 20) {
      context.fillStyle = `hsl(${(x + 3 * frame) % 360} 80% 50%)`;
      context.fillRect(x, 0, 20, 180);
    }
    context.fillStyle = 'white';
    context.fillRect((5 * frame) % 320, 60, 40, 60);
  }, 1000 / 15);
  const audio = new AudioContext();
  const tone = new OscillatorNode(audio);
  const sink = new MediaStreamAudioDestinationNode(audio);
  tone.connect(sink);
  tone.start();
  const tracks = [...sink.stream.getTracks(), ...canvas.captureStream(15).getTracks()];
  const peers = new Map();
  window.answer = async (name, sdp) => {
    const first = !peers.has(name);
    if (first) peers.set(name, new RTCPeerConnection());
    const peer = peers.get(name);
    await peer.setRemoteDescription({type: 'offer', sdp});
    for (const transceiver of peer.getTransceivers()) {
      if (transceiver.sender.track) continue;
      const track = tracks.find(({kind}) => kind === transceiver.receiver.track.kind);
      transceiver.direction = 'sendonly';
      await transceiver.sender.replaceTrack(track);
    }
    await peer.setLocalDescription();
    while (first && peer.iceGatheringState !== 'complete')
      await new Promise((changed) => peer.addEventListener('icegatheringstatechange', changed, {once: true}));
    return peer.localDescription.sdp;
  };
})()"""

RECEIVER = """(() => {
  const peers = new Map();
  window.shown = [];
  function show(track) {
    if (track.kind !== 'video') {
      const audio = new Audio();
      audio.srcObject = new MediaStream([track]);
      audio.play();
      document.body.append(audio);
      return;
    }
    const video = document.createElement('video');
    Object.assign(video, {autoplay: true, muted: true, playsInline: true, width: 320, height: 180});
    video.srcObject = new MediaStream([track]);
    video.requestVideoFrameCallback(() => shown.push(performance.now() - begun));
    document.body.append(video);
  }
  window.begin = () => { window.begun = performance.now(); };
  window.offer = async (name, pairs) => {
    if (!peers.has(name)) {
      const made = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
      made.ontrack = ({track}) => show(track);
      peers.set(name, made);
    }
    const peer = peers.get(name);
    for (let pair = 0; pair < pairs; pair += 1)
      for (const kind of ['audio', 'video']) peer.addTransceiver(kind, {direction: 'recvonly'});
    const {sdp} = await peer.createOffer();
    await peer.setLocalDescription({type: 'offer', sdp});
    return sdp;
  };
  window.accept = (name, sdp) => peers.get(name).setRemoteDescription({type: 'answer', sdp});
})()"""


async def negotiate(receiver: Page, sender: Page, name: str, pairs: int) -> None:
    """Add so many pairs of audio and video to a connection."""
    offer = await receiver.run(f"offer({json.dumps(name)}, {pairs})")
    answer = await sender.run(f"answer({json.dumps(name)}, {json.dumps(offer)})")
    await receiver.run(f"accept({json.dumps(name)}, {json.dumps(answer)})")


async def join(way: str, receiver: Page, sender: Page, presenters: int) -> float:
    """Join the room. Returns the seconds until all pictures were shown."""
    await receiver.run("begin()")
    async with trio.open_nursery() as nursery:
        match way:
            case "each":
                for number in range(presenters):
                    nursery.start_soon(negotiate, receiver, sender, str(number), 1)
            case "one":
                await negotiate(receiver, sender, "all", presenters)
            case _:
                for _ in range(presenters):
                    await negotiate(receiver, sender, "all", 1)
    while await receiver.run("shown.length") < presenters:  # noqa: ASYNC110 (in the browser)
        await trio.sleep(0.05)
    return float(await receiver.run("Math.max(...shown)")) / 1000


def _processes(root: int) -> Iterator[tuple[str, int]]:
    """The kind and the id of each process of a browser whose first process is `root`."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue  # It has just ended.
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor != root:
            ancestor = parents[ancestor]
        if ancestor == root:
            command = Path(f"/proc/{pid}/cmdline").read_text()
            found = next((kind for kind in ("renderer", "gpu-process") if f"--type={kind}" in command), "other")
            yield ("network" if _NETWORK in command else found), pid


def _cpu(pids: list[int]) -> float:
    """The CPU time in seconds that these processes have used."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids)
    return sum(int(field[11]) + int(field[12]) for field in fields) / _TICKS


def _memory(pids: list[int]) -> float:
    """The memory in MB that these processes use, of what they share with others a fair part (PSS)."""
    lines = (Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in pids)
    return sum(int(line.split()[1]) for each in lines for line in each if line.startswith("Pss:")) / 1024


def _browsers() -> set[int]:
    """The first processes of all Chromiums that this program has started."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in children}


async def measure(way: str, presenters: int) -> dict[str, float]:
    async with page_server() as url, open_chromium() as sending:
        before = _browsers()
        async with open_chromium() as receiving:
            (root,) = _browsers() - before
            sender, receiver = await sending.open_page(url), await receiving.open_page(url)
            await sender.run(SENDER)
            await receiver.run(RECEIVER)
            kinds: dict[str, list[int]] = {}
            for kind, pid in _processes(root):
                kinds.setdefault(kind, []).append(pid)
            every = [pid for pids in kinds.values() for pid in pids]
            idle = _cpu(every)
            seconds = await join(way, receiver, sender, presenters)
            joined = _cpu(every) - idle
            await trio.sleep(_SETTLING)
            start, renderer = _cpu(every), _cpu(kinds["renderer"])
            await trio.sleep(_STEADY)
            return {
                "last picture, s": seconds,
                "CPU until then, s": joined,
                "CPU then, % of a core": 100 * (_cpu(every) - start) / _STEADY,
                "of the renderer": 100 * (_cpu(kinds["renderer"]) - renderer) / _STEADY,
                "memory, MB": _memory(every),
            }


async def main(presenters: list[int], rounds: int) -> None:
    for count in presenters:
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:  # In turns, because the machine is not the same all the time.
                with trio.fail_after(120):
                    found[way].append(await measure(way, count))
        print(f"{count} presenters, {rounds} rounds: median (least, greatest)")
        for way, runs in found.items():
            for name in runs[0]:
                values = [run[name] for run in runs]
                print(
                    f"  {way:6} {name:24} {statistics.median(values):7.2f} ({min(values):.2f}, {max(values):.2f})"
                )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--presenters", type=int, nargs="+", default=[11, 3])
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    trio.run(main, given.presenters, given.rounds)
