"""The one picture that the peer's test source sends: a VP8 keyframe that any decoder takes.

A media server that only forwards is content with the first bytes of a keyframe. One that reads what it forwards,
as Kurento does by GStreamer, drops what is no VP8, and a viewer never gets anything. An encoder made this frame:

    gst-launch-1.0 -q videotestsrc num-buffers=1 pattern=checkers-8 \\
      ! video/x-raw,format=I420,width=64,height=64,framerate=10/1 ! vp8enc min-quantizer=40 \\
      ! filesink location=key.vp8
    base64 key.vp8
"""

from __future__ import annotations

from base64 import b64decode

WIDTH = HEIGHT = 64

VP8_KEYFRAME = b64decode(
    "8AcAnQEqQABAAAWHCIWFiIWEiB2CG9/oft/6t/5oH8B/gP4A/gDTWUE/AfyA1RXgP41/tv/ZuQFO/R07wt7TRuiqi1HMvZpwAP7L"
    "85q863sQ9U5QgtvQy+euJaNG6m6rA6DSeRotpeO0OXn8ARggpgM+mmyRsnzV1lzwo1hhXrmFkBAkmdKFwEyJIFGDX3BmMcFHYAA="
)
"""One frame (RFC 6386), as a decoder takes it."""

VP8_PAYLOAD = b"\x10" + VP8_KEYFRAME
"""The frame as the payload of one RTP packet: behind a descriptor with S, partition 0 (RFC 7741 section 4.2)."""
