"""Checks of an ICE-lite agent on virtual time: what is sent when, and which answers count."""

import pytest
from aioice import stun as reference

from roomfsm.mediaserver.base.settings import EngineSettings
from roomfsm.mediaserver.ice import stun
from roomfsm.mediaserver.ice.checks import Answered, Check, Checks
from roomfsm.mediaserver.ice.lite import Credentials, RemoteCandidate

OURS, THEIRS = Credentials("ours", "o" * 22), Credentials("theirs", "t" * 22)
SETTINGS = EngineSettings(check_retry=0.5, check_tries=3, consent_interval=2.0, consent_life=30.0)


def candidate(host: str, priority: int = 1, *, port: int = 4000, component: str = "1") -> RemoteCandidate:
    return RemoteCandidate(host, port, priority, component)


@pytest.fixture
def checks() -> Checks:
    return Checks(SETTINGS, OURS, THEIRS)


def answer(
    checks: Checks,
    check: Check,
    now: float,
    *,
    password: str = THEIRS.password,
    source: tuple[str, int] | None = None,
) -> Answered | None:
    """The answer of a lite agent, as it comes back."""
    response = stun.success(stun.parse(check.request), ("192.0.2.99", 5000), password.encode())
    return checks.answered(stun.parse(response), response, source or (check.host, check.port), now)


def sent(checks: Checks, end: float, begin: float = 0.0) -> list[tuple[float, str]]:
    """When which hosts are checked, if nobody answers."""
    times = [begin + step / 100 for step in range(round((end - begin) * 100))]
    return [(time, check.host) for time in times for check in checks.due(time)]


def test_a_check_is_one_of_a_controlling_agent(checks: Checks) -> None:
    checks.add(candidate("192.0.2.1"))
    (check,) = checks.due(0.0)
    message = reference.parse_message(check.request)
    assert message.attributes["USERNAME"] == "theirs:ours"
    assert message.attributes["PRIORITY"] == 110 << 24 | 65535 << 8 | 255
    assert message.attributes["ICE-CONTROLLING"] >= 0
    assert "FINGERPRINT" in message.attributes
    assert stun.is_authentic(stun.parse(check.request), check.request, THEIRS.password.encode())
    assert "USE-CANDIDATE" not in message.attributes
    answer(checks, check, 0.1)
    (nominating,) = checks.due(0.1)
    message = reference.parse_message(nominating.request)
    assert "USE-CANDIDATE" in message.attributes
    assert nominating.request[8:20] != check.request[8:20]


def test_each_candidate_is_checked_at_the_pace_and_repeated_ever_more_slowly(checks: Checks) -> None:
    for host, priority in (("192.0.2.1", 1), ("192.0.2.2", 3), ("2001:db8::1", 2)):
        checks.add(candidate(host, priority))
    assert checks.in_haste
    best, second, third = "192.0.2.2", "2001:db8::1", "192.0.2.1"
    assert sent(checks, 40.0) == [
        *((0.0, best), (0.05, second), (0.1, third)),
        *((0.5, best), (0.55, second), (0.6, third)),
        *((1.5, best), (1.55, second), (1.6, third)),
    ]
    assert not checks.in_haste


def test_the_first_candidate_that_answers_is_nominated_and_no_other_is_checked(checks: Checks) -> None:
    for host, priority in (("192.0.2.1", 1), ("192.0.2.2", 2)):
        checks.add(candidate(host, priority))
    first, second = (checks.due(time)[0] for time in (0.0, 0.05))
    assert answer(checks, second, 0.1) == Answered(False, ("192.0.2.99", 5000))
    assert answer(checks, first, 0.1) is None
    checks.add(candidate("192.0.2.3", 3))
    (nominating,) = checks.due(0.1)
    assert nominating.host == "192.0.2.1"
    assert checks.in_haste
    assert answer(checks, nominating, 0.2) == Answered(True, ("192.0.2.99", 5000))
    assert checks.nominated
    assert not checks.in_haste


def test_a_nomination_is_repeated_until_it_is_answered(checks: Checks) -> None:
    checks.add(candidate("192.0.2.1"))
    answer(checks, checks.due(0.0)[0], 0.0)
    times = [time for time, _ in sent(checks, 2.0)]
    assert times == [0.0, 0.5, 1.5]


def test_consent_is_asked_for_all_the_time_and_not_for_ever_without_an_answer(checks: Checks) -> None:
    checks.add(candidate("192.0.2.1"))
    answer(checks, checks.due(0.0)[0], 0.0)
    answer(checks, checks.due(0.0)[0], 0.0)
    now, intervals = 0.0, []
    for _ in range(200):
        before = now
        while not (due := checks.due(now)):
            now += 0.01
        intervals.append(now - before)
        assert answer(checks, due[0], now) == Answered(True, ("192.0.2.99", 5000))
    assert 1.59 < min(intervals) < 1.8
    assert 2.2 < max(intervals) < 2.42
    unanswered = sent(checks, now + 60.0, now)
    assert 11 <= len(unanswered) <= 19
    assert unanswered[-1][0] <= now + 30.0


def test_an_answer_of_somebody_else_does_not_count(checks: Checks) -> None:
    checks.add(candidate("192.0.2.1"))
    (check,) = checks.due(0.0)
    assert answer(checks, check, 0.1, password="guessed") is None
    assert answer(checks, check, 0.1, source=("192.0.2.1", 4001)) is None
    other = Checks(SETTINGS, OURS, THEIRS)
    other.add(candidate("192.0.2.1"))
    assert answer(checks, other.due(0.0)[0], 0.1) is None
    failure = stun.failure(stun.parse(check.request), 487, "Role Conflict", THEIRS.password.encode())
    assert checks.answered(stun.parse(failure), failure, ("192.0.2.1", 4000), 0.1) is None
    assert answer(checks, check, 0.1) is not None
    (nominating,) = checks.due(0.1)
    for password, source in (("guessed", ("192.0.2.1", 4000)), (THEIRS.password, ("192.0.2.2", 4000))):
        assert answer(checks, nominating, 0.1, password=password, source=source) is None
    assert not checks.nominated


@pytest.mark.parametrize(
    "useless",
    [
        candidate("224.0.0.1"),
        candidate("ff02::1"),
        candidate("0.0.0.0"),
        candidate("::"),
        candidate("fe80::1"),
        candidate("169.254.0.1"),
        candidate("192.0.2.1", port=0),
        candidate("192.0.2.1", port=65536),
        candidate("192.0.2.1", component="2"),
    ],
    ids=str,
)
def test_an_address_that_is_not_one_machines_is_not_checked(checks: Checks, useless: RemoteCandidate) -> None:
    checks.add(useless)
    assert checks.due(0.0) == []
    assert not checks.in_haste
