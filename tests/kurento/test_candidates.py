"""Which candidates name an address that no media server can resolve."""

from __future__ import annotations

import pytest

from roomfsm.kurento import IceCandidate
from roomfsm.kurento.candidates import is_mdns


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
