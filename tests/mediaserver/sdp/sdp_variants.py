"""Offers as programs write them, and as they should not: what is changed in a plain one, and what follows.

Each change is a function of an offer's text, so that it can be made to the offer of a peer that then connects.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

type Change = Callable[[str], str]

CRLF = "\r\n"
OTHER_FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["00"] * 32)


@dataclass(frozen=True, slots=True)
class Served:
    """The offer is answered."""

    media: str = "audio video"
    """What is served, `-` for an m-line that is refused, in the offer's order."""
    transports: int = 1
    lines: tuple[str, ...] = ()
    """Regular expressions, each of a whole line of the answer."""
    absent: tuple[str, ...] = ()
    """Regular expressions of lines that are not in the answer."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The offer is an error, whose message matches `words`; the endpoint stays free."""

    words: str
    code: int = 40201


type Expected = Served | Refused
NO_CODEC = 40205


# Changes


def replace(old: str, new: str) -> Change:
    return lambda offer: offer.replace(old, new)


def without(pattern: str) -> Change:
    """Without the lines that begin with the pattern."""
    return lambda offer: re.sub(rf"(?m)^(?:{pattern})[^\n]*\n", "", offer)


def session(*lines: str) -> Change:
    """With these lines at the end of the session's."""
    return lambda offer: offer.replace("m=", "".join(line + CRLF for line in lines) + "m=", 1)


def to_session(pattern: str) -> Change:
    """With the first line that begins with the pattern moved from the m-lines to the session's."""

    def change(offer: str) -> str:
        line = re.search(rf"(?m)^(?:{pattern})[^\r\n]*", offer)
        assert line is not None
        return session(line[0])(without(pattern)(offer))

    return change


def in_media(media: str, change: Change) -> Change:
    """The change to the m-line of this media alone."""

    def changed(offer: str) -> str:
        head, *sections = re.split(r"(?m)^(?=m=)", offer)
        return head + "".join(change(one) if one.startswith(f"m={media}") else one for one in sections)

    return changed


def media_end(media: str, *lines: str) -> Change:
    """With these lines at the end of an m-line."""
    return in_media(media, lambda section: section + "".join(line + CRLF for line in lines))


def after(*lines: str) -> Change:
    """With these lines at the end of all."""
    return lambda offer: offer + "".join(line + CRLF for line in lines)


def first(*lines: str) -> Change:
    """With these m-lines before the others."""
    return lambda offer: offer.replace("m=", "".join(line + CRLF for line in lines) + "m=", 1)


def each(*changes: Change) -> Change:
    def change(offer: str) -> str:
        for one in changes:
            offer = one(offer)
        return offer

    return change


def codecs(media: str, formats: str, *lines: str) -> Change:
    """With these payload types and their lines, in place of all others, in an m-line."""
    strip = without(r"a=rtpmap|a=fmtp|a=rtcp-fb")
    own = in_media(media, lambda section: re.sub(r"(SAVPF) [^\r]*", rf"\1 {formats}", strip(section), count=1))
    return each(own, media_end(media, *lines))


def bundle_only(media: str, *, attributes: bool) -> Change:
    """An m-line that is offered on the group's transport alone, with or without attributes of that."""
    drop = r"a=(?:ice|fingerprint|setup|rtcp-mux)"
    change = each(lambda section: re.sub(r"^m=(\w+) 9 ", r"m=\1 0 ", section), media_end(media, "a=bundle-only"))
    return in_media(media, change if attributes else each(change, without(drop)))


UNBUNDLED = without("a=group:BUNDLE")
DATA = ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0")
H264 = ("a=rtpmap:102 H264/90000", "a=fmtp:102 packetization-mode=1;profile-level-id=42e01f")
H264_HIGH = ("a=rtpmap:104 H264/90000", "a=fmtp:104 packetization-mode=1;profile-level-id=64001f")
VP9_2 = ("a=rtpmap:100 VP9/90000", "a=fmtp:100 profile-id=2")
BOTH = Served()

VARIANTS: dict[str, tuple[Change, Expected]] = {
    # Lines
    "as it is": (lambda offer: offer, Served(lines=("a=group:BUNDLE 0 1", "a=setup:passive", "m=video 9 .* 96"))),
    "LF only": (replace("\r\n", "\n"), BOTH),
    "LF and CRLF mixed": (replace("\r\na=mid", "\na=mid"), BOTH),
    "no newline at the end": (lambda offer: offer.rstrip(), BOTH),
    "empty lines": (replace("\r\n", "\r\n\r\n"), BOTH),
    "spaces at the ends": (replace("\r\n", "  \t\r\n"), BOTH),
    "U+0085 within a line": (session("a=tool:a\u0085b"), BOTH),
    "U+2028 within a line": (session("i=a\u2028b"), BOTH),
    "U+2029, vertical tab and form feed": (session("i=a\u2029b\x0bc\x0cd\x1ce"), BOTH),
    "U+0085 in a mid": (each(replace("a=mid:0", "a=mid:\u00850"), replace("BUNDLE 0", "BUNDLE \u00850")), BOTH),
    "no-break space in a value": (media_end("audio", "a=label:a\u00a0b"), BOTH),
    "a lone CR within a line": (session("i=a\rb"), BOTH),
    "a line of 50000 characters": (media_end("video", "a=x-long:" + "x" * 50000), BOTH),
    "5000 unknown attributes": (media_end("video", *["a=x-unknown:1"] * 5000), BOTH),
    "lines of the session in disorder": (each(without("[ost]="), session("t=0 0", "s=-")), BOTH),
    "no o=, s= and t=": (without("[ost]="), BOTH),
    "bandwidth, connection and key lines": (session("b=AS:500", "k=clear:x", "c=IN IP6 ::1", "r=0"), BOTH),
    "a line that is none, in the session": (
        session("rubbish"),
        Refused(r"line \d+ is not of the form x=value: 'rub"),
    ),
    "a line that is none, in a served m-line": (media_end("video", "=x"), Refused(r"line \d+ is not of the form")),
    "another version": (replace("v=0", "v=1"), Refused("the first line is not v=0")),
    "nothing but spaces": (lambda _offer: "  \r\n ", Refused("the first line is not v=0")),
    # Profiles (RFC 8829 section 5.1.2)
    **{
        f"profile {profile}": (replace("UDP/TLS/RTP/SAVPF", profile), Served(lines=(rf"m=audio 9 {profile} 111",)))
        for profile in (
            *("RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP"),
            *("TCP/DTLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF"),
        )
    },
    "an unknown profile": (
        replace("UDP/TLS/RTP/SAVPF", "UDP/RTP"),
        Refused(r"line \d+ \(m=audio.*UDP/TLS"),
    ),
    "an unknown profile of one": (in_media("video", replace("UDP/TLS", "QUIC")), Served("audio -")),
    "RTP/AVP without a fingerprint": (
        each(replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), without("a=fingerprint")),
        Refused(r"line \d+ \(m=audio .* no fingerprint that can be used: a=fingerprint is missing"),
    ),
    # DTLS roles
    "setup:active": (replace("setup:actpass", "setup:active"), Served(lines=("a=setup:passive",))),
    "setup:passive": (replace("setup:actpass", "setup:passive"), Served(lines=("a=setup:active",))),
    "setup:PASSIVE": (replace("setup:actpass", "setup:PASSIVE"), Served(lines=("a=setup:active",))),
    "no setup": (without("a=setup"), Served(lines=("a=setup:passive",))),
    "setup at the session level": (to_session("a=setup"), Served(lines=("a=setup:passive",))),
    "setup:passive at the session level": (
        each(replace("setup:actpass", "setup:passive"), to_session("a=setup")),
        Served(lines=("a=setup:active",)),
    ),
    "the m-line's setup before the session's": (
        each(replace("setup:actpass", "setup:passive"), session("a=setup:active")),
        Served(lines=("a=setup:active",)),
    ),
    "the tagged m-line's setup before another's": (
        in_media("video", replace("setup:actpass", "setup:passive")),
        Served(lines=("a=setup:passive",), absent=("a=setup:active",)),
    ),
    "setup:holdconn": (
        replace("setup:actpass", "setup:holdconn"),
        Refused(r"line \d+ \(a=setup:holdconn\): the DTLS role"),
    ),
    "an unknown setup": (replace("setup:actpass", "setup:whatever"), Refused(r"a=setup:whatever")),
    # Fingerprints (RFC 8122)
    "the session's fingerprint": (to_session("a=fingerprint"), BOTH),
    "the m-line's fingerprint before the session's": (session(OTHER_FINGERPRINT), BOTH),
    "several fingerprints, the last fits": (
        replace("a=fingerprint", OTHER_FINGERPRINT + "\r\na=fingerprint"),
        BOTH,
    ),
    "several fingerprints, the first fits": (media_end("audio", OTHER_FINGERPRINT), BOTH),
    "a fingerprint with an unknown function beside": (media_end("audio", "a=fingerprint:sha-3-256 AA"), BOTH),
    "a fingerprint that is none beside": (media_end("audio", "a=fingerprint:sha-256 no"), BOTH),
    "the tagged m-line's fingerprint before another's": (
        in_media("video", each(without("a=fingerprint"), media_end("video", OTHER_FINGERPRINT))),
        BOTH,
    ),
    "lower-case digest": (lambda offer: re.sub(r"(?<=sha-256 )\S+", lambda found: found[0].lower(), offer), BOTH),
    "upper-case function": (replace("sha-256", "SHA-256"), BOTH),
    "sha-1 alone": (
        replace("sha-256", "sha-1"),
        Refused(r"line \d+ \(a=fingerprint:sha-1 .* hash function"),
    ),
    "md5 in the m-line, sha-256 in the session": (
        each(to_session("a=fingerprint"), media_end("audio", "a=fingerprint:md5 AA")),
        Refused("a=fingerprint:md5"),
    ),
    "a fingerprint that is not hexadecimal": (replace("sha-256 ", "sha-256 XY:"), Refused("not hexadecimal")),
    "a fingerprint that is too short": (
        lambda offer: re.sub(r"(?<=sha-256 )\S+", "AA:BB", offer),
        Refused("a digest of sha-256 has 32 bytes"),
    ),
    "no fingerprint": (without("a=fingerprint"), Refused("a=fingerprint is missing")),
    # ICE
    "the session's ICE credentials": (each(to_session("a=ice-ufrag"), to_session("a=ice-pwd")), BOTH),
    "the longest ICE credentials": (
        each(without("a=ice-"), session("a=ice-ufrag:" + "u" * 256, "a=ice-pwd:" + "p" * 256)),
        BOTH,
    ),
    "no ufrag": (without("a=ice-ufrag"), Refused(r"line \d+ \(m=audio .*a=ice-ufrag is missing")),
    "no password": (without("a=ice-pwd"), Refused("a=ice-pwd is missing")),
    "candidates of every kind": (
        media_end(
            "audio",
            "a=candidate:1 1 udp 2113937151 0d8a1b3c-5d5e-4f4a-9a9b-000000000000.local 50000 typ host",
            "a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
            "a=candidate:3 1 udp 1 2001:db8::1 50000 typ unknown generation 0 network-id 1",
            "a=candidate:4 2 UDP 1 192.0.2.1 50001 typ srflx raddr 0.0.0.0 rport 0",
            "a=candidate:",
            "a=candidate:5 1 udp x y z",
            "a=end-of-candidates",
            "a=remote-candidates:1 192.0.2.1 5000",
        ),
        BOTH,
    ),
    "IPv6 in c=": (replace("c=IN IP4 0.0.0.0", "c=IN IP6 ::"), BOTH),
    "a real port and address": (
        lambda offer: re.sub(r"(?m)^m=(\w+) 9 ", r"m=\1 50000 ", offer).replace("0.0.0.0", "192.0.2.1"),
        BOTH,
    ),
    # BUNDLE (RFC 9143)
    "no BUNDLE": (UNBUNDLED, Served(transports=2, absent=("a=group.*",))),
    "no BUNDLE and no mids": (each(UNBUNDLED, without("a=mid")), Served(transports=2, absent=("a=mid.*",))),
    "no BUNDLE, audio alone": (lambda offer: UNBUNDLED(offer).partition("m=video")[0], Served("audio")),
    "BUNDLE without mids": (without("a=mid"), Served(transports=2, absent=("a=group.*",))),
    "BUNDLE of one of two": (replace("BUNDLE 0 1", "BUNDLE 1"), Served(transports=2, lines=("a=group:BUNDLE 1",))),
    "two BUNDLE groups": (
        replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0\r\na=group:BUNDLE 1"),
        Served(transports=2, lines=("a=group:BUNDLE 0", "a=group:BUNDLE 1")),
    ),
    "another group beside it": (session("a=group:LS 0 1"), BOTH),
    "BUNDLE in the other order": (replace("BUNDLE 0 1", "BUNDLE 1 0"), Served(lines=("a=group:BUNDLE 1 0",))),
    "BUNDLE with mids of nothing": (
        replace("BUNDLE 0 1", "BUNDLE x 0 1 y"),
        Served(lines=("a=group:BUNDLE 0 1",)),
    ),
    "bundle-only with attributes": (bundle_only("video", attributes=True), Served(lines=("m=video 9 .*",))),
    "bundle-only without attributes": (bundle_only("video", attributes=False), Served(lines=("m=video 9 .*",))),
    "bundle-only in no group": (each(UNBUNDLED, bundle_only("video", attributes=True)), Served("audio -")),
    "all attributes at the tagged m-line alone": (
        in_media("video", without(r"a=(?:ice|fingerprint|setup|rtcp-mux)")),
        BOTH,
    ),
    "a data channel that is the tagged m-line": (
        lambda offer: each(
            first(*DATA, "a=mid:d", *re.findall(r"(?m)^a=(?:ice|fingerprint|setup)[^\r]*", offer)[:4]),
            replace("BUNDLE 0 1", "BUNDLE d 0 1"),
            bundle_only("audio", attributes=False),
            bundle_only("video", attributes=False),
        )(offer),
        Served("- audio video", lines=("a=group:BUNDLE 0 1", "m=application 0 .*")),
    ),
    "two m-lines of one mid": (
        replace("a=mid:1", "a=mid:0"),
        Refused(r"line \d+ .* and line \d+ .* same mid"),
    ),
    "long mids of any characters": (
        each(replace("BUNDLE 0 1", "BUNDLE äöü-~ 1"), replace("mid:0", "mid:äöü-~")),
        BOTH,
    ),
    # m-lines that are not served
    "a data channel": (after(*DATA, "a=mid:2"), Served("audio video -", lines=("m=application 0 .*",))),
    "an odd data channel": (
        after(*DATA, "rubbish", "a=rtpmap:", "a=fingerprint:md5 x", "a=setup:holdconn", "a=ice-ufrag:"),
        Served("audio video -"),
    ),
    "m=message": (after("m=message 2855 TCP/MSRP *", "a=path:msrp://x"), Served("audio video -")),
    "m=text and m=image": (
        after("m=text 9 RTP/AVP 98", "a=rtpmap:98 t140/1000", "m=image 9 udptl t38"),
        Served("audio video - -"),
    ),
    "a port that is no number, in m=message": (after("m=message x TCP/MSRP *"), Served("audio video -")),
    "a port that is no number": (
        replace("m=video 9", "m=video x"),
        Refused(r"line \d+ .*: the port is"),
    ),
    "a port with a number of ports": (replace("m=video 9", "m=video 9/2"), BOTH),
    "an m-line without formats": (after("m=video 9 RTP/AVP"), Refused(r"line \d+ .*needs media, port, protocol")),
    "video stopped": (replace("m=video 9", "m=video 0"), Served("audio -")),
    "video stopped and odd": (
        each(replace("m=video 9", "m=video 0"), media_end("video", "rubbish")),
        Served("audio -"),
    ),
    "all stopped": (
        lambda offer: re.sub(r"(?m)^m=(\w+) 9", r"m=\1 0", offer),
        Refused(r"line \d+ .*: its port is 0"),
    ),
    "a second video, odd": (
        after("m=video 9 UDP/TLS/RTP/SAVPF 96", "a=rtpmap:96", "rubbish", "a=rtcp-mux"),
        Served("audio video -"),
    ),
    "a data channel alone": (
        lambda offer: offer.partition("m=")[0] + CRLF.join(DATA),
        Refused(r"line \d+ \(m=application .*: only audio and video are accepted"),
    ),
    "no m-line": (lambda offer: offer.partition("m=")[0], Served("", transports=0)),
    # Multiplexing
    "no rtcp-mux": (without("a=rtcp-mux"), Refused(r"line \d+ .*: it has no a=rtcp-mux")),
    "no rtcp-mux of one, unbundled": (
        each(UNBUNDLED, in_media("video", without("a=rtcp-mux"))),
        Served("audio -"),
    ),
    "rtcp-mux-only, rtcp and reduced size": (
        media_end("audio", "a=rtcp-mux-only", "a=rtcp:9 IN IP4 0.0.0.0", "a=rtcp-rsize"),
        BOTH,
    ),
    # Codecs
    "codec names in other cases": (each(replace("opus/", "OPUS/"), replace("VP8/", "vp8/")), BOTH),
    "opus without channels": (replace("opus/48000/2", "opus/48000"), BOTH),
    "static payload types without rtpmap": (
        replace("SAVPF 111", "SAVPF 0 8 111 9"),
        Served(lines=("m=audio .* 111",)),
    ),
    "only static payload types": (
        codecs("audio", "0 8"),
        Served("- video"),
    ),
    "an fmtp without a value": (media_end("video", "a=fmtp:96", "a=rtcp-fb:96"), BOTH),
    "an rtpmap without a value": (
        media_end("video", "a=rtpmap:99"),
        Refused(r"line \d+ \(a=rtpmap:99\): rtpmap"),
    ),
    "an rtpmap of a payload type that is not offered": (media_end("video", "a=rtpmap:99 VP9/90000"), BOTH),
    "a payload type above 127": (
        codecs("video", "300", "a=rtpmap:300 VP8/90000"),
        Refused(r"line \d+ \(a=rtpmap:300 VP8/90000\): the payload type is not a number up to 127"),
    ),
    "only unknown codecs of both": (
        each(codecs("audio", "0"), codecs("video", "99", "a=rtpmap:99 theora/90000")),
        Refused(r"m=audio.*\(PCMU\) can be forwarded; this server forwards opus; .*m=video.*\(theora\)", NO_CODEC),
    ),
    "only unknown codecs, audio alone": (
        lambda offer: codecs("audio", "0 8")(offer).partition("m=video")[0],
        Refused("PCMU, PCMA", NO_CODEC),
    ),
    "unknown video": (codecs("video", "99", "a=rtpmap:99 H265/90000"), Served("audio -")),
    "VP9 profile 2 first": (
        codecs("video", "100 98", *VP9_2, "a=rtpmap:98 VP9/90000", "a=fmtp:98 profile-id=0"),
        Served(lines=("m=video .* 98",)),
    ),
    "VP9 profile 2 before VP8": (
        codecs("video", "100 96", *VP9_2, "a=rtpmap:96 VP8/90000"),
        Served(lines=("m=video .* 96",)),
    ),
    "VP9 profile 2 alone": (codecs("video", "100", *VP9_2), Served(lines=("m=video .* 100",))),
    "AV1 profile 1 before profile 0": (
        codecs("video", "45 46", "a=rtpmap:45 AV1/90000", "a=fmtp:45 profile=1", "a=rtpmap:46 AV1/90000"),
        Served(lines=("m=video .* 46",)),
    ),
    "H264 high before baseline": (
        codecs(
            "video",
            "104 102",
            "a=rtpmap:104 H264/90000",
            "a=fmtp:104 packetization-mode=1;profile-level-id=64001f",
            *H264,
        ),
        Served(lines=("m=video .* 102",)),
    ),
    "H264 without fmtp": (codecs("video", "102", H264[0]), Served(lines=("a=rtpmap:102 H264/90000",))),
    "H264 with an odd profile": (
        codecs("video", "102", H264[0], "a=fmtp:102 profile-level-id=xyz;packetization-mode=7;;=;"),
        Served(lines=("m=video .* 102",)),
    ),
    "RTX with its parameters in another order": (
        codecs(
            "video",
            "96 97",
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 nack",
            "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 rtx-time=200; apt=96",
        ),
        Served(lines=("m=video .* 96 97", "a=fmtp:97 apt=96")),
    ),
    "a payload type that looks like RTCP": (
        codecs("video", "72", "a=rtpmap:72 VP8/90000"),
        Refused(r"line \d+ \(a=rtpmap:72 VP8/90000\): packets .* told from RTCP"),
    ),
    "a payload type that looks like RTCP before another": (
        codecs("video", "72 98", "a=rtpmap:72 VP8/90000", "a=rtpmap:98 VP9/90000"),
        Served(lines=("m=video .* 98",)),
    ),
    "RTX of a payload type that looks like RTCP": (
        codecs(
            "video",
            "96 95",
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 nack",
            "a=rtpmap:95 rtx/90000",
            "a=fmtp:95 apt=96",
        ),
        Served(lines=("m=video .* 96",)),
    ),
    "the same payload type in both, bundled": (
        codecs("audio", "96", "a=rtpmap:96 opus/48000/2"),
        Refused(r"line \d+ \(m=audio .* and line \d+ \(m=video .* payload type 96 for two codecs"),
    ),
    "the payload type of audio for RTX, bundled": (
        codecs(
            "video",
            "96 111",
            "a=rtpmap:96 VP8/90000",
            "a=rtcp-fb:96 nack",
            "a=rtpmap:111 rtx/90000",
            "a=fmtp:111 apt=96",
        ),
        Refused("payload type 111 for two codecs"),
    ),
    "sha-384 and sha-512 beside the one that fits": (
        media_end("audio", "a=fingerprint:SHA-384 " + ":".join(["ab"] * 48), "a=fingerprint:sha-512 " + "AB" * 64),
        BOTH,
    ),
    "a stopped m-line first, in BUNDLE, too": (
        each(
            first("m=video 0 UDP/TLS/RTP/SAVPF 96", "a=mid:r", "a=inactive"),
            replace("BUNDLE 0 1", "BUNDLE r 0 1"),
        ),
        Served("- audio video", lines=("a=group:BUNDLE 0 1",)),
    ),
    "an audio of unknown codecs first": (
        each(
            first("m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:x", "a=rtcp-mux", "a=sendonly"),
            replace("BUNDLE 0 1", "BUNDLE x 0 1"),
        ),
        Served("- audio video", lines=("a=group:BUNDLE 0 1",)),
    ),
    "RTX of nothing": (media_end("video", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=55"), BOTH),
    "RED and FEC beside": (
        codecs(
            "video", "96 110 111", "a=rtpmap:96 VP8/90000", "a=rtpmap:110 red/90000", "a=rtpmap:111 ulpfec/90000"
        ),
        Served(lines=("m=video .* 96",)),
    ),
    "the same payload type in both, unbundled": (
        each(UNBUNDLED, codecs("audio", "96", "a=rtpmap:96 opus/48000/2")),
        Served(transports=2, lines=("m=audio .* 96", "m=video .* 96")),
    ),
    # Directions
    "inactive": (replace("a=sendonly", "a=inactive"), Served(lines=("a=inactive",))),
    "recvonly": (replace("a=sendonly", "a=recvonly"), Served(lines=("a=sendonly",))),
    "sendrecv": (replace("a=sendonly", "a=sendrecv"), Served(lines=("a=sendrecv",))),
    "no direction": (without("a=sendonly"), Served(lines=("a=sendrecv",))),
    "the session's direction": (to_session("a=sendonly"), Served(lines=("a=recvonly",), absent=("a=sendrecv",))),
    # What only some browsers write
    "simulcast": (
        media_end("video", "a=rid:h send", "a=rid:l send", "a=simulcast:send h;l"),
        Served(absent=("a=simulcast.*", "a=rid.*")),
    ),
    "old simulcast": (
        media_end("video", "a=ssrc-group:SIM 1 2 3", "a=ssrc:1 cname:x", "a=x-google-flag:conference"),
        BOTH,
    ),
    "extmap-allow-mixed and large ids": (
        each(
            session("a=extmap-allow-mixed"),
            media_end(
                "audio",
                "a=extmap:15 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
                "a=extmap:255 urn:ietf:params:rtp-hdrext:sdes:mid",
                "a=extmap:4096 urn:x",
                "a=extmap:x/sendonly",
            ),
        ),
        Served(absent=("a=extmap.*",)),
    ),
    "the session's extmap": (
        session("a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
        Served(lines=("a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",)),
    ),
    "identity, msid, ssrc and cname": (
        each(
            session("a=msid-semantic: WMS *", "a=identity:x"),
            media_end("video", "a=msid:- x", "a=ssrc:9 cname:{}"),
        ),
        BOTH,
    ),
}
