"""What a peer reports to its owner."""

from collections.abc import Collection
from typing import Protocol

from roomfsm.mediaserver.base.errors import WorkerDied
from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.dtls.state import DtlsState
from roomfsm.mediaserver.ice.state import IceState


class PeerObserver(Protocol):
    """What a peer reports to its owner.

    The engine's loop calls these methods, so they must return soon and never raise. Nothing is called any more
    after :meth:`Peer.close` has returned.
    """

    def ice_state_changed(self, state: IceState) -> None: ...

    def candidate_pair_selected(self, local: str, remote: str) -> None:
        """Media use this pair of candidate lines from now on (RFC 8839 section 5.1, without `a=`)."""

    def dtls_state_changed(self, state: DtlsState) -> None: ...

    def connection_failed(self, reason: str) -> None:
        """DTLS failed. `reason` is a text for people. The state FAILED follows."""

    def media_connection_changed(self, connected: bool) -> None:
        """True when DTLS-SRTP is connected, False after close_notify or silence, and True again when a silent peer
        is heard.
        """

    def receiving_changed(self, kind: MediaKind, flowing: bool) -> None:
        """RTP from this peer's browser flows, or has not flowed for `flow_timeout`."""

    def sending_changed(self, kind: MediaKind, flowing: bool) -> None:
        """RTP to this peer's browser flows, or flows no longer."""

    def pause_changed(self, kind: MediaKind, paused: bool) -> None:
        """This peer's browser gets no media of that kind because its path is too slow, or gets them again."""

    def speech_changed(self, speaks: bool) -> None:
        """The user of this peer's browser begins or ceases to speak, by the levels of the sound that it sends."""

    def layers_wanted(self, names: Collection[str]) -> None:
        """Exactly these simulcast layers of this peer's browser are wanted. It need not send the others."""

    def codec_mismatched(self, reason: str) -> None:
        """The peer's browser cannot decode the media of its source, so it gets no media of that kind."""

    def worker_died(self, error: "WorkerDied") -> None:
        """The peer's worker died.

        This is the last report about the peer, which can only be closed. All peers of the worker get the same
        error.
        """
