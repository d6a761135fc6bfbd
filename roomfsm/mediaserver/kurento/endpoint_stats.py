"""The result of an endpoint's `getStats`, from the engine's statistics.

Like Kurento, it uses the W3C's names of 2016.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any
from uuid import uuid4

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.engine.stats import PeerStats
from roomfsm.mediaserver.forwarding.stats import ReceivingStats, SendingStats

_NANOSECONDS = 1_000_000_000


class EndpointStats:
    """Makes the statistics of one endpoint. Each stream keeps its id."""

    def __init__(self, endpoint_id: str) -> None:
        self._endpoint_id = endpoint_id
        self._ids: dict[tuple[str, MediaKind], str] = {}

    def streams(self, peer: PeerStats, wanted: Collection[str]) -> dict[str, dict[str, Any]]:
        """One entry for each stream of the wanted media types, by id."""
        found: list[dict[str, Any]] = []
        for kind, received in peer.receiving.items():
            if kind in wanted:
                found.append(self._head("inboundrtp", kind) | _inbound(received))
        for kind, sent in peer.sending.items():
            if kind in wanted:
                found.append(self._head("outboundrtp", kind) | _outbound(sent))
        return {stats["id"]: stats for stats in found}

    def latencies(self, kinds: Collection[MediaKind], seconds: float) -> dict[str, dict[str, Any]]:
        """The entry about the endpoint itself, with the time that its media take through the server."""
        latencies = [
            {
                "__module__": "kurento",
                "__type__": "MediaLatencyStat",
                "avg": seconds * _NANOSECONDS,
                "name": f"sink_{kind.lower()}_default",
                "type": kind,
            }
            for kind in kinds
        ]
        entry = {
            "__module__": "kurento",
            "__type__": "EndpointStats",
            "E2ELatency": latencies,
            "id": self._endpoint_id,
            "inputLatency": latencies,
            "timestampMillis": time.time_ns() // 1_000_000,
            "type": "endpoint",
        }
        return {self._endpoint_id: entry}

    def _head(self, type_: str, kind: MediaKind) -> dict[str, Any]:
        return {
            "__module__": "kurento",
            "associateStatsId": "",
            "codecId": "",
            "firCount": 0,
            "fractionLost": 0.0,
            "id": self._ids.setdefault((type_, kind), str(uuid4())),
            "isRemote": False,
            "mediaTrackId": "",
            "sliCount": 0,
            "timestampMillis": time.time_ns() // 1_000_000,
            "transportId": "",
            "type": type_,
        }


def _inbound(stats: ReceivingStats) -> dict[str, Any]:
    return {
        "__type__": "RTCInboundRTPStreamStats",
        "bytesReceived": stats.bytes,
        "jitter": stats.jitter,
        "nackCount": stats.nacks,
        "packetsLost": stats.lost,
        "packetsReceived": stats.packets,
        "pliCount": stats.keyframe_requests,
        "remb": stats.remb,
        "ssrc": str(stats.ssrc),
    }


def _outbound(stats: SendingStats) -> dict[str, Any]:
    return {
        "__type__": "RTCOutboundRTPStreamStats",
        "bytesSent": stats.bytes,
        "nackCount": stats.nacks,
        "packetsLost": 0,
        "packetsSent": stats.packets,
        "pliCount": stats.keyframe_requests,
        "remb": stats.remb,
        "roundTripTime": 0.0,
        "ssrc": str(stats.ssrc),
        "targetBitrate": 0.0,
    }
