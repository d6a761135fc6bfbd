"""The bandwidths of a WebRtcEndpoint: Kurento's properties, their defaults, and the operations that read and set
them.

Kurento counts in kbit/s, and 0 means no limit. The engine's peer has the same units, and each property is passed
to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from roomfsm.mediaserver.kurento.errors import MarshallError
from roomfsm.mediaserver.kurento.objects import Operation

if TYPE_CHECKING:
    from roomfsm.mediaserver.engine.peer import Peer
    from roomfsm.mediaserver.kurento.arguments import Arguments

BANDWIDTHS = {
    "MaxAudioRecvBandwidth": ("max_audio_receive_bandwidth", 0),
    "MaxVideoRecvBandwidth": ("max_video_receive_bandwidth", 0),
    "MaxVideoSendBandwidth": ("max_video_send_bandwidth", 500),
    "MinVideoRecvBandwidth": ("min_video_receive_bandwidth", 100),
    "MinVideoSendBandwidth": ("min_video_send_bandwidth", 100),
}
"""For each of Kurento's properties, the peer's attribute and Kurento's default in kbit/s. 0 means no limit."""

REMB_PARAMETERS: Mapping[str, float] = {
    "decrementFactor": 0.5,
    "exponentialFactor": 0.03999999910593033,
    "linealFactorGrade": 30.0,
    "linealFactorMin": 100,
    "packetsRecvIntervalTop": 100,
    "rembOnConnect": 300_000,
    "thresholdFactor": 0.800000011920929,
    "upLosses": 12,
}
"""Kurento's RembParams with their defaults (`rembOnConnect` is in bit/s). The types of the values are the types of
the parameters."""

MAX_BANDWIDTH = 10_000_000
"""The highest bandwidth that can be set, in kbit/s."""


class Limited(Protocol):
    """An endpoint whose peer has bandwidths."""

    peer: Peer


def bandwidth_operations() -> dict[str, Operation]:
    """A getter and a setter for each of `BANDWIDTHS`."""
    operations: dict[str, Operation] = {}
    for name, (attribute, _) in BANDWIDTHS.items():

        def read(endpoint: Limited, _: Arguments, attribute: str = attribute) -> int:
            value: int = getattr(endpoint.peer, attribute)
            return value

        def write(endpoint: Limited, arguments: Arguments, name: str = name, attribute: str = attribute) -> None:
            argument = name[0].lower() + name[1:]
            value = arguments.integer(argument)
            if not 0 <= value <= MAX_BANDWIDTH:
                raise MarshallError(f"'{argument}' must be 0 to {MAX_BANDWIDTH} kbit/s")
            setattr(endpoint.peer, attribute, value)

        operations[f"get{name}"] = read
        operations[f"set{name}"] = write
    return operations
