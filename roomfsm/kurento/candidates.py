"""ICE candidates as Kurento and browsers exchange them."""

from __future__ import annotations

import msgspec


class IceCandidate(msgspec.Struct, frozen=True, rename="camel"):
    """One trickled candidate (RFC 8838), with the member names of RTCIceCandidateInit.

    `candidate` is the attribute's value (RFC 8839 section 5.1); empty: the end of the candidates.
    """

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


_ADDRESS_FIELD = 4


def is_mdns(candidate: IceCandidate) -> bool:
    """Whether the address is a `.local` name, which no media server outside the browser's network resolves."""
    fields = candidate.candidate.split()
    return len(fields) > _ADDRESS_FIELD and fields[_ADDRESS_FIELD].lower().endswith(".local")
