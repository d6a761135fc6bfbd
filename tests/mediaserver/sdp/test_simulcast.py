"""Simulcast in offers and answers (RFC 8853, RFC 5576)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomfsm.mediaserver.base.kinds import MediaKind
from roomfsm.mediaserver.ice.lite import Credentials
from roomfsm.mediaserver.rtp.extensions import RID
from roomfsm.mediaserver.sdp.answer import LocalEnd, accept, write_answer
from roomfsm.mediaserver.sdp.description import parse_offer
from roomfsm.mediaserver.sdp.simulcast import Layer, SentLayers

OFFER = """\
v=0
m=video 9 UDP/TLS/RTP/SAVPF {types}
a=mid:0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 {digest}
a=setup:actpass
a=rtcp-mux
a=sendonly
a=rtpmap:96 VP8/90000
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtcp-fb:96 nack
a=rtpmap:98 VP9/90000
{extensions}
{layers}
"""
NAMED = "a=rid:l send\na=rid:m send\na=rid:h send\na=simulcast:send l;m;h"
GROUPED = "a=ssrc-group:SIM 1 2 3\na=ssrc-group:FID 1 11\na=ssrc-group:FID 3 13"
BOTH_WAYS = f"a=extmap:10 {RID}"
CHROMIUM = f"{BOTH_WAYS}\na=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
FIREFOX = CHROMIUM.replace("10 ", "10/sendonly ").replace("11 ", "11/sendonly ")


def offered(layers: str, extensions: str = CHROMIUM, types: str = "96 97") -> str:
    digest = ":".join(["00"] * 32)
    text = OFFER.format(layers=layers, extensions=extensions, types=types, digest=digest)
    return "\n".join(line for line in text.splitlines() if line)


def answered(offer: str, *, layered: bool = True) -> tuple[tuple[Layer, ...], list[str]]:
    parsed = parse_offer(offer)
    agreement = accept(parsed, {}, {}, layered=layered)
    local = LocalEnd("sha-256 00", (), dict.fromkeys(MediaKind, 1), "cname", "stream", 0, 2)
    answer = write_answer(parsed, agreement, local, [Credentials.new()])
    return agreement.media[0].layers, answer.splitlines()


@pytest.mark.parametrize("extensions", [CHROMIUM, FIREFOX])
def test_named_layers_are_accepted(extensions: str) -> None:
    layers, lines = answered(offered(NAMED, extensions))
    assert [layer.rid for layer in layers] == ["l", "m", "h"]
    assert lines[-4:] == ["a=rid:l recv", "a=rid:m recv", "a=rid:h recv", "a=simulcast:recv l;m;h"]
    suffix = "/recvonly" if extensions == FIREFOX else ""
    assert f"a=extmap:10{suffix} {RID}" in lines


def test_layers_known_by_ssrcs_are_accepted_without_a_word() -> None:
    layers, lines = answered(offered(GROUPED))
    assert layers == (Layer("", 1, 11), Layer("", 2, 0), Layer("", 3, 13))
    assert [layer.name for layer in layers] == ["1", "2", "3"]
    assert not any("simulcast" in line for line in lines)


@pytest.mark.parametrize(
    ("offer", "layered"),
    [
        (offered(NAMED), False),
        (offered(NAMED, ""), True),  # Packets would not say to which layer they belong.
        (offered(NAMED, types="98"), True),  # VP9's layers are not of this kind.
        (offered(NAMED).replace("sendonly", "recvonly"), True),
    ],
)
def test_other_offers_are_answered_with_one_layer(offer: str, layered: bool) -> None:
    layers, lines = answered(offer, layered=layered)
    assert layers == ()
    assert not any("simulcast" in line or "a=rid" in line for line in lines)


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["simulcast:send ~l;m,x;h", "rid:l send", "rid:m send", "rid:h send max-width=1280"], ["l", "m", "h"]),
        (["simulcast:recv a;b send l;m", "rid:l send", "rid:m send"], ["l", "m"]),
        (["simulcast:send l;m", "rid:l send", "rid:m recv"], []),
        (["simulcast:send l;l", "rid:l send"], []),
        (["simulcast:send l", "rid:l send"], []),
        (["simulcast:send"], []),
        (["simulcast:send a;b;c;d;e", *(f"rid:{name} send" for name in "abcde")], []),
        (["simulcast:send l;é", "rid:l send", "rid:é send"], []),
        (["simulcast:send l;" + "m" * 17, "rid:l send", f"rid:{'m' * 17} send"], []),
        (["ssrc-group:SIM 1 1"], []),
        (["ssrc-group:SIM 0 1"], []),
        (["ssrc-group:SIM 1 4294967296"], []),
        (["ssrc-group:SIM 1 x"], []),
        (["ssrc-group:SIM 1 2", "ssrc-group:FID 1"], ["1", "2"]),
        (["ssrc-group:SIM"], []),
        (["rid:"], []),
    ],
)
def test_only_sound_layers_count(lines: list[str], names: list[str]) -> None:
    sent = SentLayers()
    for line in lines:
        attribute, _, content = line.partition(":")
        sent.read(attribute, content)
    assert [layer.name for layer in sent.layers()] == names


@given(st.permutations(f"{NAMED}\n{GROUPED}\na=rid:x recv\na=ssrc-group:FEC-FR 1 21".splitlines()))
def test_the_order_of_the_lines_says_nothing(lines: list[str]) -> None:
    layers, answer = answered(offered("\n".join(lines)))
    assert [layer.rid for layer in layers] == ["l", "m", "h"]
    assert answer[-1] == "a=simulcast:recv l;m;h"
    layers, _ = answered(offered("\n".join(line for line in lines if "group" in line)))
    assert layers == (Layer("", 1, 11), Layer("", 2, 0), Layer("", 3, 13))


@pytest.mark.parametrize("lines", [NAMED, GROUPED])
def test_lines_that_come_twice_say_nothing_new(lines: str) -> None:
    assert answered(offered(f"{lines}\n{lines}"))[0] == answered(offered(lines))[0]


@pytest.mark.parametrize(
    "line",
    [
        "a=rid:r{} send",
        "a=rid:r{} recv",
        "a=simulcast:send r{0};q{0}",
        "a=ssrc-group:SIM {0} 1{0} 2{0} 3{0} 4{0}",
        "a=ssrc-group:FID {0} 1{0}",
    ],
)
def test_thousands_of_lines_are_not_remembered(line: str) -> None:
    sent = SentLayers()
    for number in range(1, 5000):
        attribute, _, content = line.format(number).removeprefix("a=").partition(":")
        sent.read(attribute, content)
    assert len(sent._rids) <= 16
    assert len(sent._groups) <= 16
    assert sent.layers() == ()
    many = "\n".join(line.format(number) for number in range(1, 5000))
    _, answer = answered(offered(many))
    assert len(answer) < 30


def test_a_line_with_thousands_of_layers_is_answered_with_one_layer() -> None:
    names = ";".join(f"r{number}" for number in range(5000))
    assert answered(offered(f"a=rid:r1 send\na=rid:r2 send\na=simulcast:send {names}"))[0] == ()
    assert answered(offered(f"a=ssrc-group:SIM {' '.join(map(str, range(1, 5000)))}"))[0] == ()
