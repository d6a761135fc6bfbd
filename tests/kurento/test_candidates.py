"""Tests which candidates the media server can use, and which the browser can use."""

from __future__ import annotations

import pytest

from roomfsm.kurento import IceCandidate
from roomfsm.kurento.candidates import BundledCandidates, is_mdns
from tests.kurento.replay import load


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("candidate:1 1 udp 2113937151 0b6c5a3e-1d5f-4a0e.local 50000 typ host", True),
        ("candidate:1 1 UDP 2113937151 A.LOCAL 50000 typ host", True),
        ("candidate:1 1 udp 2113937151 192.0.2.2 50000 typ host", False),
        ("candidate:1 1 udp 2113937151 192.0.2.2 50000 typ srflx raddr x.local rport 9", False),
        ("", False),
        ("x.local", False),
    ],
)
def test_only_an_address_that_is_a_local_name_is_hidden(text: str, hidden: bool) -> None:
    assert is_mdns(IceCandidate(text)) is hidden


ANSWER = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 1 x 1\r\na=mid:0\r\nm=video 1 x 2\r\na=mid:1\r\n"
HOST = "candidate:1 1 UDP 2015363327 192.0.2.2 14035 typ host"


def picked(answer: str, *found: tuple[str, str | None, int | None]) -> list[tuple[str, str | None, int | None]]:
    candidates = BundledCandidates(answer)
    picks = [candidates.pick(IceCandidate(*one)) for one in found]
    return [(one.candidate, one.sdp_mid, one.sdp_m_line_index) for one in picks if one is not None]


def test_of_the_36_that_kurento_told_a_browser_gets_the_3_that_it_can_use() -> None:
    ((_, script),) = load("02")
    endpoints = {value["object"] for value in script.events_of("IceCandidateFound")}
    assert len(endpoints) == 3
    for endpoint in endpoints:
        (answer,) = script.values("processOffer", endpoint)
        told = [
            value["data"]["candidate"] for value in script.events(endpoint) if value["type"] == "IceCandidateFound"
        ]
        picks = picked(answer, *((one["candidate"], one["sdpMid"], one["sdpMLineIndex"]) for one in told))
        assert (len(told), len(picks)) == (36, 3)
        assert {(mid, index) for _, mid, index in picks} == {("0", 0)}
        assert {text.split()[4] for text, _, _ in picks} == {"192.0.2.2", "fd00::2", "fe80::fc:ff:fe00:1"}


def test_a_candidate_of_the_bundle_is_named_after_its_first_m_line_whichever_was_told_first() -> None:
    assert picked(ANSWER, (HOST, "1", 1), (HOST, "0", 0)) == [(HOST, "0", 0)]
    turned = ANSWER.replace("BUNDLE 0 1", "BUNDLE 1 0")
    assert picked(turned, (HOST, "0", 0), (HOST, "1", 1)) == [(HOST, "1", 1)]


def test_each_m_line_outside_a_bundle_has_a_transport_of_its_own() -> None:
    alone = ANSWER.replace("a=group:BUNDLE 0 1\r\n", "")
    assert picked(alone, (HOST, "0", 0), (HOST, "1", 1)) == [(HOST, "0", 0), (HOST, "1", 1)]
    assert picked(alone, (HOST, None, 1), (HOST, None, None)) == [(HOST, "1", 1), (HOST, "0", 0)]


@pytest.mark.parametrize(
    "text",
    [
        "candidate:2 1 TCP 1015021823 192.0.2.2 9 typ host tcptype active",
        "candidate:3 1 tcp 1010827519 192.0.2.2 43533 typ host tcptype passive",
        "candidate:1 2 UDP 2015363326 192.0.2.2 43371 typ host",
    ],
)
def test_tcp_and_the_second_component_are_for_no_browser(text: str) -> None:
    assert picked(ANSWER, (text, "0", 0)) == []
