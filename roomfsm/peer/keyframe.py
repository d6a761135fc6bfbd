"""The picture that the peer's test source sends: a VP8 keyframe that any decoder accepts.

For a media server that only forwards, the first bytes of a keyframe would be enough. A media server that reads the
video, as Kurento does with GStreamer, drops bytes that are not VP8, and a viewer would get nothing. An encoder
made this frame:

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
"""One frame (RFC 6386), as decoders accept it."""

VP8_PAYLOAD = b"\x10" + VP8_KEYFRAME
"""The frame as the payload of one RTP packet, after a descriptor with S and partition 0 (RFC 7741 section 4.2)."""
