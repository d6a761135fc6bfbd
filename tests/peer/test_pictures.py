"""A foreign decoder, GStreamer's vp8dec, can read the video of the kit's presenters."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from roomfsm.peer import VIDEO_SSRC, Peer, RtpPacket
from roomfsm.peer.keyframe import HEIGHT, VP8_KEYFRAME, WIDTH

I420 = WIDTH * HEIGHT * 3 // 2
"""The number of bytes of a decoded picture."""


class Recorded(Peer):
    """A presenter without a connection, whose packets are kept unencrypted."""

    def __init__(self) -> None:
        super().__init__("sendonly")
        self.sent: list[RtpPacket] = []

    def protect_and_send(self, packet: bytes) -> None:
        self.sent.append(RtpPacket.parse(packet))


def ivf(frames: list[bytes]) -> bytes:
    """A file of VP8 frames, 10 a second."""
    header = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP80", WIDTH, HEIGHT, 10, 1, len(frames), 0)
    return header + b"".join(struct.pack("<IQ", len(f), number) + f for number, f in enumerate(frames))


def decoded(folder: Path, frames: list[bytes]) -> bytes:
    """The pictures that GStreamer decodes from the frames. It leaves out frames that it cannot read."""
    program = shutil.which("gst-launch-1.0")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no gst-launch-1.0: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good")
        pytest.skip("no gst-launch-1.0")
    source, result = folder / "sent.ivf", folder / "decoded"
    source.write_bytes(ivf(frames))
    # A sink that waits for its first picture may hang gst-launch as it ends, if there is none (4 of 100 times).
    sink = f"filesink async=false location={result}"
    elements = f"filesrc location={source} ! ivfparse ! vp8dec ! video/x-raw,format=I420 ! {sink}"
    subprocess.run([program, "-q", *elements.split()], capture_output=True, check=False, timeout=60)
    return result.read_bytes()


async def test_every_frame_that_the_kit_sends_can_be_decoded(tmp_path: Path, autojump_clock: MockClock) -> None:
    presenter = Recorded()
    presenter.play("audio", "video")
    with trio.move_on_after(2.05):
        await presenter.play_out()
    presenter.socket.close()
    video = [packet for packet in presenter.sent if packet.ssrc == VIDEO_SSRC]
    assert len(video) == 21
    # Each is a whole frame: a VP8 payload descriptor of one byte, with S, and the marker (RFC 7741 section 4.2).
    assert {(packet.payload[0], packet.marker) for packet in video} == {(0x10, True)}
    frames = [packet.payload[1:] for packet in video]
    pictures = await trio.to_thread.run_sync(decoded, tmp_path, frames)
    assert len(pictures) == I420 * len(frames)
    shades = set(pictures[: WIDTH * HEIGHT])
    assert max(shades) - min(shades) > 50, "the checkers are to be seen"


def test_the_decoder_tells_a_frame_from_bytes_that_only_begin_like_one(tmp_path: Path) -> None:
    begins = VP8_KEYFRAME[:10] + bytes(16)
    assert decoded(tmp_path, [begins, begins]) == b""
    assert len(decoded(tmp_path, [begins, VP8_KEYFRAME, VP8_KEYFRAME])) == 2 * I420
