"""Writes offers as browsers do, and reads the parts of an answer that a peer needs (RFC 8866, RFC 8829)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_FEEDBACK = {"audio": (), "video": ("goog-remb", "ccm fir", "nack", "nack pli")}
_TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

type Extensions = Mapping[str, Mapping[str, int]]
"""The header extensions of an offer: the ids by URI, for audio and video."""


@dataclass(frozen=True, slots=True)
class PayloadType:
    """One rtpmap of the offer."""

    number: int
    rtpmap: str
    fmtp: str = ""

    @property
    def codec(self) -> str:
        """The codec's name in lower case."""
        return self.rtpmap.partition("/")[0].lower()


OPUS_TYPE = PayloadType(111, "opus/48000/2", "minptime=10;useinbandfec=1")
VP8_TYPE = PayloadType(96, "VP8/90000")


class AnswerInvalid(ValueError):
    """The text is not an answer with which a peer can connect."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts of an answer that a peer needs. `hash` is hashlib's name for the fingerprint's hash function.

    `active` says that the other side begins the DTLS handshake. `addresses` are those of its candidates. It is
    empty if the candidates come later (trickle), or have another version of IP.
    """

    ufrag: str
    password: str
    hash: str
    fingerprint: bytes
    active: bool
    addresses: tuple[tuple[str, int], ...]

    @property
    def address(self) -> tuple[str, int]:
        """The first candidate's address."""
        return self.addresses[0]

    @classmethod
    def parse(cls, text: str, ip_version: int = 4) -> Answer:
        """Read an answer. Raises `AnswerInvalid`."""
        attributes: dict[str, str] = {}
        addresses = []
        for line in text.splitlines():
            name, _, value = line.partition(":")
            attributes.setdefault(name, value)
            if name == "a=candidate" and (address := candidate_address(value, ip_version)) is not None:
                addresses.append(address)
        try:
            hash_name, digest = attributes["a=fingerprint"].split()
            return cls(
                attributes["a=ice-ufrag"],
                attributes["a=ice-pwd"],
                hash_name.lower().replace("-", ""),
                bytes.fromhex(digest.replace(":", "")),
                attributes.get("a=setup", "passive") == "active",
                tuple(dict.fromkeys(addresses)),
            )
        except KeyError as error:
            raise AnswerInvalid(f"the answer has no {error.args[0]}") from error
        except ValueError as error:
            raise AnswerInvalid("the answer's a=fingerprint cannot be read") from error


def candidate_address(line: str, ip_version: int = 4) -> tuple[str, int] | None:
    """The address at which a candidate (RFC 8839 section 5.1) can be reached by UDP, for component 1; None for
    other candidates.
    """
    parts = line.removeprefix("a=").removeprefix("candidate:").split()
    if len(parts) < 6 or parts[1] != "1" or parts[2].lower() != "udp":
        return None
    try:
        address, port = ipaddress.ip_address(parts[4]), int(parts[5])
    except ValueError:
        return None
    return (str(address), port) if address.version == ip_version else None


def write_offer(
    direction: str,
    audio: Sequence[PayloadType],
    video: Sequence[PayloadType],
    ufrag: str,
    password: str,
    digest: bytes,
    ssrcs: Mapping[str, int] | None = None,
    extensions: Extensions | None = None,
) -> str:
    """An offer in the form that Chromium writes.

    `digest` is the certificate's SHA-256, and `ssrcs` are the SSRCs by kind of media.
    """
    sections = [(media, types) for media, types in (("audio", audio), ("video", video)) if types]
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines.append("a=group:BUNDLE " + " ".join(str(index) for index, _ in enumerate(sections)))
    for index, (media, types) in enumerate(sections):
        ids = (extensions or {}).get(media, {})
        feedback = (*_FEEDBACK[media], "transport-cc") if _TRANSPORT_CC in ids else _FEEDBACK[media]
        lines += [
            f"m={media} 9 UDP/TLS/RTP/SAVPF {' '.join(str(item.number) for item in types)}",
            "c=IN IP4 0.0.0.0",
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{password}",
            f"a=fingerprint:sha-256 {digest.hex(':').upper()}",
            "a=setup:actpass",
            f"a=mid:{index}",
            f"a={direction}",
            "a=rtcp-mux",
            "a=rtcp-rsize",
            *(f"a=extmap:{number} {uri}" for uri, number in ids.items()),
        ]
        for item in types:
            lines.append(f"a=rtpmap:{item.number} {item.rtpmap}")
            if item.codec != "rtx":
                lines += [f"a=rtcp-fb:{item.number} {value}" for value in feedback]
            if item.fmtp:
                lines.append(f"a=fmtp:{item.number} {item.fmtp}")
        if ssrcs:
            lines.append(f"a=ssrc:{ssrcs[media]} cname:peer")
    return "\r\n".join(lines) + "\r\n"
