"""Websocket frames that a server sends (RFC 6455 section 5.2). Each is built once for all its receivers."""

from __future__ import annotations

import struct

_FIN_TEXT = 0x81
_LENGTH_16 = 126
_LENGTH_64 = 127


def text_frame(payload: bytes) -> bytes:
    """One unfragmented, unmasked text frame. `payload` is UTF-8."""
    length = len(payload)
    if length < _LENGTH_16:
        header = struct.pack("!BB", _FIN_TEXT, length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", _FIN_TEXT, _LENGTH_16, length)
    else:
        header = struct.pack("!BBQ", _FIN_TEXT, _LENGTH_64, length)
    return header + payload
