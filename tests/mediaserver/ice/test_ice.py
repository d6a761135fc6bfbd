"""ICE-lite: the address to which media are sent, and the use of a browser's candidates."""

import pytest

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.ice.lite import IceLite, Path, host_candidates, plain_address

A, B, C, D = (Path((f"192.0.2.{number}", number)) for number in range(1, 5))


@pytest.fixture
def ice() -> IceLite:
    return IceLite(EngineSettings(max_addresses=3, max_candidates=2))


def test_before_a_nomination_the_newest_checked_address_is_selected(ice: IceLite) -> None:
    assert ice.heard(A, False, 0.0) == (True, None)
    assert ice.heard(B, False, 0.1) == (True, None)
    assert ice.selected == B
    assert not ice.nominated


def test_after_a_nomination_other_checks_select_no_address(ice: IceLite) -> None:
    ice.heard(A, True, 0.0)
    assert ice.heard(B, False, 0.1) == (False, None)
    assert ice.selected == A
    assert ice.heard(B, True, 0.2) == (True, None)
    assert ice.selected == B


def test_a_check_from_a_new_address_moves_media_when_the_old_one_is_silent(ice: IceLite) -> None:
    ice.heard(A, True, 0.0)
    assert ice.heard(B, False, 1.9) == (False, None)
    assert ice.heard(B, False, 2.1) == (True, None)
    assert ice.selected == B


def test_a_repeated_nomination_of_the_selected_address_is_no_news(ice: IceLite) -> None:
    ice.heard(A, False, 0.0)
    assert ice.heard(A, True, 0.1) == (True, None)
    assert ice.heard(A, True, 0.2) == (False, None)


def test_beyond_the_bound_the_oldest_address_is_forgotten_but_not_the_selected(ice: IceLite) -> None:
    ice.heard(A, True, 0.0)
    ice.heard(B, False, 0.1)
    ice.heard(C, False, 0.2)
    assert len(ice.paths) == 3
    assert ice.heard(D, False, 0.3) == (False, B)
    assert ice.selected == A
    assert len(ice.paths) == 3


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "garbage",
        "candidate:",
        "candidate:1 1 TCP 1 192.0.2.9 9 typ host tcptype active",
        "candidate:1 1 UDP 1 0d8a1b3c-5d5e-4f4a-9a9b-000000000000.local 5000 typ host",
        "candidate:1 1 UDP 1 192.0.2.9 port typ host",
        "candidate:1 1 UDP 1 192.0.2.9 " + "9" * 5000 + " typ host",
        "candidate:1 1 UDP 1 192.0.2.9 9 typ host " + "x" * 1000,
    ],
)
def test_a_useless_candidate_is_ignored(ice: IceLite, garbage: str) -> None:
    ice.add_remote_candidate(garbage)
    assert ice.remote_candidate(("192.0.2.9", 9)).endswith("typ prflx")


def test_a_known_candidate_names_the_pair_and_an_unknown_one_is_peer_reflexive(ice: IceLite) -> None:
    line = "candidate:842163049 1 udp 1677729535 192.0.2.1 1 typ srflx raddr 0.0.0.0 rport 0 generation 0"
    ice.add_remote_candidate("a=" + line)
    assert ice.remote_candidate(A.remote) == line
    assert ice.remote_candidate(B.remote) == "candidate:1 1 UDP 1862270975 192.0.2.2 2 typ prflx"


def test_one_candidate_more_than_max_candidates_is_ignored(ice: IceLite) -> None:
    for path in (A, B, C):
        host, port = path.remote[:2]
        ice.add_remote_candidate(f"candidate:1 1 UDP 1 {host} {port} typ host")
    assert ice.remote_candidate(B.remote).endswith("typ host")
    assert ice.remote_candidate(C.remote).endswith("typ prflx")


def test_host_candidates_are_ranked_in_the_order_given() -> None:
    first, second = host_candidates(("192.0.2.1", "2001:db8::1"), 4000)
    assert first == "candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host"
    assert second == "candidate:2 1 UDP 2130706175 2001:db8::1 4000 typ host"


def test_an_ipv4_address_on_a_dual_stack_socket_is_shown_as_ipv4() -> None:
    assert plain_address(("::ffff:192.0.2.1", 5, 0, 0)) == ("192.0.2.1", 5)
    assert plain_address(("2001:db8::1", 5, 0, 0)) == ("2001:db8::1", 5)
