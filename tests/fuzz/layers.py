"""RTP packets that name any layers, of any SSRCs, through simulcast to its sinks (RFC 8852, RFC 8853).

Whatever a browser says of its packets, no number is given to two of them, a viewer gets one layer, and what is
remembered has a bound.
"""

from __future__ import annotations

from collections.abc import Collection

from roomfsm.mediaserver.base.kinds import MediaKind, PictureSize
from roomfsm.mediaserver.forwarding.simulcast import Simulcast
from roomfsm.mediaserver.forwarding.sink import Sink
from roomfsm.mediaserver.sdp.simulcast import Layer
from tests.fuzz.forwarding import MAX_PACKETS, VP8, Browser, Outlet, open_sink

_RID_ID, _REPAIRED_ID, _MID_ID = 10, 11, 4
_NAMES = (b"l", b"m", b"h", b"x", b"L", b"lm", b"l\0", b"\xff", b"a-name-of-16-chr")
"""What a packet may say of its layer. The first three are in the offer."""
_SSRCS_OF_GROUP = (1, 2, 3)
_REPAIRS_OF_GROUP = (11, 12, 0)
MAX_SSRCS = 16


class _LayeredBrowser(Browser):
    """A publisher of layers."""

    def layers_wanted(self, names: Collection[str]) -> None:
        assert names


def _extensions(way: int, name: bytes) -> bytes:
    """Header extensions that name a layer. `way` says in which form, whether as a repair, and what is beside."""
    identity = _REPAIRED_ID if way & 1 else _RID_ID
    if way & 2:
        elements = bytes((identity, len(name))) + name
        if way & 4:
            elements = bytes((_MID_ID, 1)) + b"v" + elements
        if way & 8:  # The same once more, with another value.
            elements += bytes((identity, 1)) + b"h"
        if way & 16:  # The length goes beyond the end.
            elements += bytes((identity, 255))
        profile = b"\x10\0"
    else:
        elements = bytes((identity << 4 | len(name) - 1,)) + name
        if way & 4:
            elements = bytes((_MID_ID << 4,)) + b"v" + elements
        if way & 8:
            elements += bytes((identity << 4,)) + b"h"
        if way & 16:
            elements += bytes((identity << 4 | 15,))
        profile = b"\xbe\xde"
    elements += bytes(-len(elements) % 4)
    return profile + (len(elements) // 4).to_bytes(2) + elements


def _check(simulcast: Simulcast, sinks: Collection[Sink]) -> None:
    assert len(simulcast._by_ssrc) <= MAX_SSRCS
    for sink in sinks:
        layers = [
            one for one in simulcast.layers for group in one.track._groups.by_key.values() if sink in group.sinks
        ]
        assert len(layers) <= int(sink.source is simulcast and not sink.paused)


def layers(data: bytes) -> None:
    """`data`: a byte that says how the layers are known (by rids or SSRCs), and steps of 12 bytes.

    The first byte of a step says what is done (a packet or a retransmission comes, a viewer does something), the
    second how much later. The others are the numbers of the packet's header, its SSRC, its layer's name, how it
    is named, and its payload.
    """
    outlet, browser = Outlet(), _LayeredBrowser()
    grouped = bool(data) and data[0] & 1
    offered = (
        [Layer("", *ssrcs) for ssrcs in zip(_SSRCS_OF_GROUP, _REPAIRS_OF_GROUP, strict=True)]
        if grouped
        else [Layer(name.decode()) for name in _NAMES[:3]]
    )
    simulcast = Simulcast(MediaKind.VIDEO, outlet, browser, offered)
    simulcast.negotiated(VP8, 0 if grouped else _RID_ID, 0 if grouped else _REPAIRED_ID)
    sinks = [open_sink(Browser()) for _ in range(2)]
    for sink in sinks:
        sink.follow(simulcast)
    seen: set[tuple[int, bytes]] = set()
    now = 0.0
    for start in range(1, min(len(data), 1 + 12 * MAX_PACKETS), 12):
        step = data[start : start + 12].ljust(12, b"\0")
        action, now = step[0], now + step[1] / 64
        outlet.time = now
        sink = sinks[action & 1]
        if action < 200:
            # SRTP has let a number of an SSRC through once.
            if (step[8], step[2:4]) in seen:
                continue
            seen.add((step[8], step[2:4]))
            way = step[10]
            extension = b"" if way & 32 else _extensions(way, _NAMES[step[9] % len(_NAMES)])
            repair = action >= 160
            header = bytes((0x90 if extension else 0x80, 97 if repair else 96)) + step[2:8] + step[8].to_bytes(4)
            if repair:
                simulcast.receive_repair(header + extension + step[6:8] + b"\x10\0" + start.to_bytes(2), now)
            else:
                simulcast.receive(header + extension + bytes((0x10, step[11] & 1)) + start.to_bytes(2), now)
        elif action < 210:
            sink.resize(list(PictureSize)[step[2] % len(PictureSize)])
        elif action < 220:
            sink.viewer.path.estimated(int.from_bytes(step[2:5]), now)
        elif action < 226:
            sink.follow(None if sink.source is not None else simulcast)
        elif action < 232:
            if sink.paused:
                sink.go_on(now)
            else:
                sink.pause()
        elif action < 240 and sink.source is not None:
            sink.source.retransmit(sink, (int.from_bytes(step[2:4]), int.from_bytes(step[4:6])), now)
        elif action < 246 and sink.source is not None:
            sink.source.request_keyframe_for(sink, now)
        else:
            simulcast.check_flow(now)
            simulcast.renew(now)
            simulcast.report(now)
        outlet.flush()
        for attended in list(outlet.attention):
            if not attended.attend(now):
                outlet.attention.discard(attended)
        _check(simulcast, sinks)
    simulcast.close()
    assert not simulcast.sinks
    assert not outlet.attention
