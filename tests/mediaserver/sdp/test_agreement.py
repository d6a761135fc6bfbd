"""The result of a negotiation as data: the served m-lines, their transports and their codecs."""

import pytest

from roomfsm.mediaserver.base.errors import NoCommonCodec, SdpError
from roomfsm.mediaserver.base.kinds import ALL_KINDS, MediaKind
from roomfsm.mediaserver.rtp.extensions import TRANSPORT_CC
from roomfsm.mediaserver.sdp.answer import Agreement, accept, undecodable
from roomfsm.mediaserver.sdp.codec import Codec
from roomfsm.mediaserver.sdp.description import Direction, Offer, parse_offer
from roomfsm.mediaserver.sdp.offer import Answered, propose, read_answer

SESSION = "v=0\na=ice-ufrag:ufrag\na=ice-pwd:password\na=fingerprint:sha-256 " + "AA" * 32 + "\n"
H264 = "a=rtpmap:98 H264/90000\na=fmtp:98 packetization-mode=1;profile-level-id=42e01f"
OPUS = "a=rtpmap:111 opus/48000/2"
VP8 = "a=rtpmap:96 VP8/90000"


def media(kind: str, number: int, mid: str, *lines: str, port: int = 9) -> str:
    return "\n".join((f"m={kind} {port} UDP/TLS/RTP/SAVPF {number}", f"a=mid:{mid}", "a=rtcp-mux", *lines)) + "\n"


def agree(*parts: str, source: Codec | None = None, bundle: str = "") -> Agreement:
    group = f"a=group:BUNDLE {bundle}\n" if bundle else ""
    offer = parse_offer(SESSION + group + "".join(parts))
    return accept(offer, {} if source is None else {MediaKind.VIDEO: source}, {})


SOURCE = Codec(96, "VP8", 90000, "", "", ())


# Two m-lines of one kind


def test_a_second_video_in_the_sources_codec_is_served_in_place_of_the_first() -> None:
    agreement = agree(
        media("video", 98, "a", H264, "a=recvonly"), media("video", 96, "b", VP8, "a=recvonly"), source=SOURCE
    )
    assert [(one.index, one.mid, one.codecs[0].name) for one in agreement.media] == [(1, "b", "VP8")]
    assert set(agreement.refused) == {0}


def test_a_stream_is_not_transcoded_because_other_media_are_served() -> None:
    with pytest.raises(NoCommonCodec, match="the source sends VP8, the viewer takes H264"):
        agree(
            media("audio", 111, "a", OPUS),
            media("video", 98, "b", H264, "a=recvonly"),
            source=SOURCE,
        )


# The m-line that describes a transport


def fingerprint(digit: str) -> str:
    return f"a=fingerprint:sha-256 {digit * 64}"


def test_a_bundle_is_described_by_an_m_line_that_has_a_port() -> None:
    agreement = agree(
        media("audio", 111, "a", OPUS, fingerprint("B"), "a=bundle-only", port=0),
        media("video", 96, "b", VP8, fingerprint("C"), "a=setup:passive"),
        bundle="a b",
    )
    (transport,) = agreement.transports
    assert [one.mid for one in transport.media] == ["a", "b"]
    assert transport.fingerprints == (("sha-256", b"\xcc" * 32),)
    assert transport.dtls_client


@pytest.mark.parametrize("missing", ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"])
def test_a_bundle_is_described_by_the_first_m_line_that_does(missing: str) -> None:
    whole = (
        "a=ice-ufrag:ufrag",
        "a=ice-pwd:password",
        fingerprint("C"),
        "a=candidate:1 1 UDP 1 192.0.2.1 5000 typ host",
    )
    part = [line for line in whole[:3] if not line.startswith(missing)]
    text = (
        "v=0\na=group:BUNDLE a b\n" + media("audio", 111, "a", OPUS, *part) + media("video", 96, "b", VP8, *whole)
    )
    (transport,) = accept(parse_offer(text), {}, {}).transports
    assert transport.candidates == ("candidate:1 1 UDP 1 192.0.2.1 5000 typ host",)


def test_useless_fingerprints_are_reported_with_their_line() -> None:
    bundled = (
        media("audio", 111, "a", OPUS, "a=fingerprint:sha-256 AA"),
        media("video", 96, "b", VP8, fingerprint("C")),
    )
    with pytest.raises(SdpError, match=r"m=audio.*a digest of sha-256 has 32 bytes"):
        agree(*bundled, bundle="a b")


@pytest.mark.parametrize(
    ("lines", "agreed"),
    [((), False), (("a=rtcp-fb:96 transport-cc",), True), (("a=rtcp-fb:97 transport-cc",), False)],
)
def test_packets_are_numbered_for_a_codec_that_has_the_feedback(lines: tuple[str, ...], agreed: bool) -> None:
    numbered = f"a=extmap:3 {TRANSPORT_CC}"
    (served,) = agree(media("video", 96, "a", VP8, numbered, "a=sendonly", *lines)).media
    assert (TRANSPORT_CC in served.extensions) is agreed
    assert ("transport-cc" in served.codecs[0].feedback) is agreed


# What the other side would receive, but cannot decode


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        (media("video", 98, "a", "a=rtpmap:98 H263/90000"), {MediaKind.VIDEO}),
        (media("video", 98, "a", "a=rtpmap:98 H263/90000", "a=sendonly"), set[MediaKind]()),
        (media("video", 98, "a", "a=rtpmap:98 H263/90000", port=0), set[MediaKind]()),
        (media("video", 96, "a", VP8), set[MediaKind]()),
        (media("application", 98, "a"), set[MediaKind]()),
    ],
    ids=["another codec", "only sent", "refused", "ours", "no media"],
)
def test_a_kind_that_is_received_in_no_codec_of_ours_is_undecodable(part: str, kinds: set[MediaKind]) -> None:
    assert undecodable(parse_offer(SESSION + part), ()) == kinds


def test_a_kind_that_one_m_line_serves_is_not_undecodable() -> None:
    offer = parse_offer(SESSION + media("video", 98, "a", "a=rtpmap:98 H263/90000") + media("video", 96, "b", VP8))
    assert undecodable(offer, ()) == {MediaKind.VIDEO}
    assert undecodable(offer, accept(offer, {}, {}).media) == set()


# The answer to our offer


def ours(direction: Direction = Direction.SENDRECV) -> Offer:
    offer, _ = propose(ALL_KINDS, direction, {}, {})
    return offer


AUDIO = media("audio", 111, "audio0", OPUS, "a=setup:active")
VIDEO = media("video", 96, "video0", VP8, "a=setup:active")


def test_an_answer_that_refuses_everything_negotiates_nothing() -> None:
    refused = [part.replace(" 9 ", " 0 ") for part in (AUDIO, VIDEO)]
    assert read_answer(SESSION + "".join(refused), ours(), {}) == Answered((), frozenset())


@pytest.mark.parametrize(
    ("bundle", "port", "differ"),
    [("audio0 video0", 9, True), ("audio0", 9, False), ("", 9, False), ("audio0 video0", 0, False)],
    ids=["bundled", "bundled alone", "not bundled", "bundled and refused"],
)
def test_an_answers_roles_may_differ_unless_they_are_one_transports(bundle: str, port: int, differ: bool) -> None:
    group = f"a=group:BUNDLE {bundle}\n" if bundle else ""
    passive = VIDEO.replace("active", "passive").replace(" 9 ", f" {port} ")
    text = SESSION + group + AUDIO + passive
    if differ:
        with pytest.raises(SdpError, match="differ in their DTLS role"):
            read_answer(text, ours(), {})
    else:
        transports = read_answer(text, ours(), {}).transports
        assert [one.dtls_client for one in transports] == [False, True][: 2 if port else 1]
