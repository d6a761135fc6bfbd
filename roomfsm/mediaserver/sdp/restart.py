"""ICE restarts: whether a new offer only asks for a new network path, and the answer to it.

A browser restarts ICE with an offer that has other ICE credentials (RFC 8839 section 4.4.1.1.1) and is otherwise
the same. An offer may be long, and it is read in the thread that answers everybody. So no offer is read twice: of
the first one, :class:`Negotiated` keeps the few facts with which later ones are compared.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from roomfsm.mediaserver.ice.lite import Credentials
from roomfsm.mediaserver.sdp.answer import AcceptedMedia
from roomfsm.mediaserver.sdp.description import MediaSection, Offer


class _Answered(NamedTuple):
    """What we have answered to an m-line."""

    codecs: frozenset[tuple[int, str]] = frozenset()
    """The payload types and names of the codecs; none if we have refused the m-line."""
    extensions: Mapping[str, int] = {}

    def is_offered_by(self, section: MediaSection) -> bool:
        return (
            not section.fault
            and self.extensions.items() <= section.extensions.items()
            and self.codecs <= {(codec.payload_type, codec.name) for codec in section.codecs}
        )


class Negotiated:
    """What an offer and our answer to it have agreed on, as far as a restart must not change it."""

    __slots__ = ("_answered", "_bundles", "_credentials", "_fingerprints", "_lines")

    def __init__(self, offer: Offer) -> None:
        self._bundles = offer.bundles
        self._fingerprints = _fingerprints(offer)
        self._credentials = _credentials(offer)
        self._lines = [_described(section) for section in offer.sections]
        self._answered = [_Answered() for _ in offer.sections]

    def answered(self, accepted: Iterable[AcceptedMedia]) -> None:
        """Note the m-lines that our answer has accepted."""
        for media in accepted:
            codecs = frozenset((codec.payload_type, codec.name) for codec in media.codecs)
            self._answered[media.index] = _Answered(codecs, media.extensions)

    def restarts(self, again: Offer) -> bool:
        """Whether an offer after the first one only restarts ICE.

        It has other credentials, and everything else that we have answered is still offered. The certificates are
        the same, because with another one the peer wants another DTLS association (RFC 8842 section 4).
        """
        return (
            self._bundles == again.bundles
            and self._fingerprints == _fingerprints(again)
            and self._lines == [_described(section) for section in again.sections]
            and any(section.ufrag for section in again.sections)
            and all(map(_renews, self._credentials, again.sections))
            and all(map(_Answered.is_offered_by, self._answered, again.sections))
        )

    def restarted(self, again: Offer) -> None:
        """Note that a restart has been answered: the next one has other credentials than this one."""
        self._credentials = _credentials(again)


def _described(section: MediaSection) -> tuple[object, ...]:
    """What of an m-line must not change when ICE is restarted."""
    return section.media, section.mid, section.protocol, section.direction, section.disabled


def _credentials(description: Offer) -> tuple[tuple[str, str], ...]:
    return tuple((section.ufrag, section.password) for section in description.sections)


def _fingerprints(description: Offer) -> frozenset[tuple[str, bytes]]:
    return frozenset(one for section in description.sections for one in section.fingerprints)


def _renews(before: tuple[str, str], section: MediaSection) -> bool:
    """Whether the ICE credentials of an m-line are new ones, or stand at another m-line of its bundle."""
    ufrag, password = section.ufrag, section.password
    if not ufrag and not password:
        return True
    return bool(ufrag and password) and ufrag != before[0] and password != before[1]


def with_credentials(answer: str, renewed: Sequence[tuple[Credentials, Credentials]]) -> str:
    """Our description, with new ICE credentials instead of the old ones, and its next version (RFC 3264
    section 8).
    """
    lines = answer.split("\r\n")
    name, number, version, *rest = lines[1].split(" ")
    lines[1] = " ".join((name, number, str(int(version) + 1), *rest))
    new = {
        line: f"a={field}:{after}"
        for old, fresh in renewed
        for field, before, after in zip(("ice-ufrag", "ice-pwd"), old, fresh, strict=True)
        for line in (f"a={field}:{before}",)
    }
    return "\r\n".join(new.get(line, line) for line in lines)
