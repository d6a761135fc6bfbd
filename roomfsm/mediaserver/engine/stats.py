"""Statistics of peers and of the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.forwarding.stats import ReceivingStats, SendingStats
from roomfsm.mediaserver.ice.state import IceState


@dataclass(frozen=True, slots=True)
class PeerStats:
    ice_state: IceState
    dtls_state: DtlsState
    remote_address: tuple[str, int] | None
    receiving: Mapping[MediaKind, ReceivingStats] = field(default_factory=dict)
    sending: Mapping[MediaKind, SendingStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineStats:
    peers: int
    datagrams_received: int
    packets_sent: int
    """Media packets that the system accepted."""
    packets_dropped: int
    """Media packets that the system refused, because its send buffer was full or because of an error."""
    refused: Mapping[str, int]
    """Received datagrams that were refused, by :class:`Refusal`."""
    faults: Mapping[str, int]
    """Unexpected exceptions in this process, by what each of them ended (`boundary.py`)."""
