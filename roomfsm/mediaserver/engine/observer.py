"""What a peer tells its owner."""

from typing import Protocol

from roomfsm.mediaserver.base.errors import WorkerDied
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.ice.state import IceState


class PeerObserver(Protocol):
    """What a peer tells its owner, called from the engine's loop: it must return soon and never raise.

    Nothing is called any more once :meth:`Peer.close` returned.
    """

    def ice_state_changed(self, state: IceState) -> None: ...

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        """The pair of candidate lines (RFC 8839 section 5.1, without `a=`) that media takes, or changes to."""

    def dtls_state_changed(self, state: DtlsState) -> None: ...

    def connection_failed(self, reason: str) -> None:
        """DTLS failed, in words; the state FAILED follows."""

    def media_connection_changed(self, connected: bool) -> None:
        """True once DTLS-SRTP is up; False at close_notify or silence; True again when a silent peer is heard."""

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        """RTP from this peer's browser flows, or has not for `flow_timeout`."""

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        """RTP to this peer's browser flows, or no longer."""

    def pause_changed(self, kind: MediaKind, paused: bool) -> None:
        """This peer's browser is sent none of that kind, because its path is too slow; or is sent it again."""

    def codec_mismatched(self, reason: str) -> None:
        """The peer is connected to a source whose media its browser cannot decode: it gets none of that kind."""

    def worker_died(self, error: "WorkerDied") -> None:
        """The last word about a peer whose worker died: it can only be closed. All are told the same error."""
