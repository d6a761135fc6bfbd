"""What is logged about a session description names no secret of it, however it was quoted."""

from __future__ import annotations

import pytest

from roomfsm.sdp_secrets import masked

OFFER = (
    "v=0\r\na=ice-ufrag:F7gI\r\na=ice-pwd:x9cml/YzichV2+XlhiMu8g\r\n"
    "a=fingerprint:sha-256 D2:FA:0E:C3\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
)


@pytest.mark.parametrize(
    ("reason", "logged"),
    [
        ("line 4 (m=video 9 UDP/TLS/RTP/SAVPF 96): no codec", "line 4 (m=video 9 UDP/TLS/RTP/SAVPF 96): no codec"),
        ("line 3 (a=ice-pwd:x9cml/YzichV2+XlhiMu8g): bad", "line 3 (a=ice-pwd:…): bad"),
        ("line 3 (a=ice-pwd:x9cml/Yzi…): too long", "line 3 (a=ice-pwd:…): too long"),
        ("line 2 (a=fingerprint:sha-1 D2:FA): bad", "line 2 (a=fingerprint:…): bad"),
        ("line 7 is not of the form x=value: 'ice-pwd:another'", "line 7 is not of the form x=value: 'ice-pwd:…'"),
        ("the port x9cml/YzichV2+XlhiMu8g is no number", "the port … is no number"),
        ("no digest is D2:FA:0E:C3", "no digest is …"),
        ("a=ice-pwd is missing", "a=ice-pwd is missing"),
        ("a=fingerprint is missing", "a=fingerprint is missing"),
    ],
)
def test_secrets_are_masked_and_other_words_are_not(reason: str, logged: str) -> None:
    assert masked(reason, OFFER) == logged
