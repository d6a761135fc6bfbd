"""ICE candidates, as Kurento and browsers exchange them."""

from __future__ import annotations

import re

import msgspec


class IceCandidate(msgspec.Struct, frozen=True, rename="camel"):
    """One trickled candidate (RFC 8838), with the member names of RTCIceCandidateInit.

    `candidate` is the attribute's value (RFC 8839 section 5.1). An empty text means that no more candidates
    follow.
    """

    candidate: str
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None


_ADDRESS_FIELD = 4
_RTP_COMPONENT = "1"


def is_mdns(candidate: IceCandidate) -> bool:
    """Whether the address is a `.local` name, which a media server outside the browser's network cannot
    resolve.
    """
    fields = candidate.candidate.split()
    return len(fields) > _ADDRESS_FIELD and fields[_ADDRESS_FIELD].lower().endswith(".local")


class BundledCandidates:
    """Chooses the candidates that the browser needs from all that the media server sends, each of them once.

    Bundled media (RFC 9143) share one transport, that of the group's first m-line. Nevertheless Kurento sends each
    of its candidates once for every m-line. It also sends candidates of component 2, which browsers never use
    because they multiplex RTCP (RFC 8834 section 4.5), and TCP candidates. So there are about 36 candidates where
    3 are enough. `answer` is the session description that the browser was given.
    """

    def __init__(self, answer: str) -> None:
        self._index_of = _m_line_indices(answer)
        self._tag_of: dict[str, str] = {}
        """For the mid of every bundled m-line, the mid whose transport it shares."""
        for group in _BUNDLE.findall(answer):
            mids = group.split()
            self._tag_of |= dict.fromkeys(mids, mids[0])
        self._told: set[tuple[str, str]] = set()

    def pick(self, found: IceCandidate) -> IceCandidate | None:
        """The candidate for the browser, with the m-line that has the transport; None if the browser does not need
        it.
        """
        _, component, transport, *_ = [*found.candidate.split(), "", "", ""]
        if (component and component != _RTP_COMPONENT) or transport.lower() == "tcp":
            return None
        index = found.sdp_m_line_index or 0
        mid = found.sdp_mid or str(index)
        if (tag := self._tag_of.get(mid)) is not None:
            mid, index = tag, self._index_of.get(tag, index)
        if (mid, found.candidate) in self._told:
            return None
        self._told.add((mid, found.candidate))
        return IceCandidate(found.candidate, mid, index)


_BUNDLE = re.compile(r"^a=group:BUNDLE (\S[^\r\n]*)", re.MULTILINE)
_MID = re.compile(r"^a=mid:(\S+)", re.MULTILINE)


def _m_line_indices(sdp: str) -> dict[str, int]:
    """The index of each m-line, by its mid."""
    _, *sections = re.split(r"^m=", sdp, flags=re.MULTILINE)
    return {mid[1]: index for index, section in enumerate(sections) if (mid := _MID.search(section))}
