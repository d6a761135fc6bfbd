"""Given a configuration, `roomfsm check` names what is wrong with it, and how to mend it."""

from __future__ import annotations

import datetime
import errno
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey
from trio.testing import MockClock

from roomfsm import adoption
from roomfsm.access.patterns import matches
from roomfsm.check import kurento, machine, network, program, turn
from roomfsm.check.access import check_keys, check_policies, covers
from roomfsm.check.certificate import check_certificate
from roomfsm.check.findings import Check, Finding
from roomfsm.check.linger import check_linger
from roomfsm.check.machine import check_clock
from roomfsm.check.network import check_announced, check_front, check_media_port, check_port
from roomfsm.check.program import DEADLINE, examine
from roomfsm.check.store import check_store
from roomfsm.check.turn import check_turn
from roomfsm.check.webhooks import check_webhooks
from roomfsm.interfaces import addresses_of_this_machine
from roomfsm.settings import Settings, load
from roomfsm.signaling.ice_servers import time_limited_credentials
from tests.coturn import SECRET, coturn
from tests.ports import reserved_port
from tests.processes import LOADED
from tests.redis_server import redis_server
from tests.serving import serving

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


def lines(findings: list[Finding]) -> list[str]:
    """The findings in short: `outcome what`. Whatever is not ok says how to mend it."""
    for finding in findings:
        assert bool(finding.mend) is (finding.outcome != "ok"), finding
    return [f"{finding.outcome} {finding.what}" for finding in findings]


async def found(check: Check, **flags: Any) -> list[str]:
    return lines(await check(load(flags, {})))


def has(findings: list[str], outcome: str, *words: str) -> bool:
    return any(line.startswith(outcome) and all(word in line for word in words) for line in findings)


# Certificates


def issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[str, ec.EllipticCurvePrivateKey] | None = None,
    begin: datetime.timedelta = -DAY,
    end: datetime.timedelta = 90 * DAY,
) -> bytes:
    """A certificate for `name`, by itself or by an issuer, valid from `begin` to `end` from now."""
    by, by_key = issuer or (name, key)
    common_name = x509.NameOID.COMMON_NAME
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(common_name, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(common_name, by)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begin)
        .not_valid_after(NOW + end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(by_key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


@pytest.fixture(scope="module")
def keys() -> tuple[ec.EllipticCurvePrivateKey, ec.EllipticCurvePrivateKey]:
    return ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


type Keys = tuple[ec.EllipticCurvePrivateKey, ec.EllipticCurvePrivateKey]


@pytest.mark.parametrize(
    ("chain", "host_name", "outcome", "words"),
    [
        (lambda key, _: issue("a.example", key), "a.example", "ok", ("it is for a.example",)),
        (lambda key, _: issue("*.example", key), "a.example", "ok", ("*.example",)),
        (lambda key, _: issue("a.example", key), "b.example", "fault", ("not for b.example", "a.example")),
        (lambda key, _: issue("*.example", key), "a.b.example", "fault", ("not for a.b.example",)),
        (lambda key, _: issue("a.example", key, end=90 * DAY), "a.example", "ok", ("valid until", "days")),
        (lambda key, _: issue("a.example", key, end=3 * DAY), "a.example", "warning", ("for 2 days",)),
        (lambda key, _: issue("a.example", key, begin=-9 * DAY, end=-DAY), "a.example", "fault", ("expired",)),
        (lambda key, _: issue("a.example", key, begin=DAY), "a.example", "fault", ("not valid before",)),
        (lambda key, _: issue("a.example", key), "a.example", "warning", ("does not trust its issuer",)),
        (
            lambda key, other: issue("a.example", key, ("CA", other)) + issue("CA", other),
            "a.example",
            "warning",
            ("does not trust its issuer", "CA"),
        ),
        (
            lambda key, other: issue("a.example", key, ("CA", other)) + issue("CB", other),
            "a.example",
            "fault",
            ("chain is broken", "not issued by"),
        ),
        (
            lambda key, other: issue("a.example", key, ("CA", key)) + issue("CA", other),
            "a.example",
            "fault",
            ("chain is broken",),
        ),
        (
            lambda _, other: issue("a.example", other),
            "a.example",
            "fault",
            ("not a certificate and its private key",),
        ),
        (lambda *_: b"nothing", "a.example", "fault", ("not a certificate and its private key",)),
    ],
)
async def test_a_certificate_is_judged_by_its_key_names_time_and_chain(
    chain: Callable[..., bytes], host_name: str, outcome: str, words: tuple[str, ...], keys: Keys, tmp_path: Path
) -> None:
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    certfile.write_bytes(chain(*keys))
    keyfile.write_bytes(pem(keys[0]))
    keyfile.chmod(0o600)
    flags = {"certfile": str(certfile), "keyfile": str(keyfile), "host_name": (host_name,)}
    assert has(await found(check_certificate, **flags), outcome, *words)
    keyfile.chmod(0o644)
    if outcome != "fault":
        assert has(await found(check_certificate, **flags), "warning", "everybody on this machine can read")


async def test_without_a_certificate_only_this_machine_or_a_proxy_can_use_cameras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert has(await found(check_certificate), "ok", "plain HTTP")
    assert has(await found(check_certificate, host=("0.0.0.0",)), "warning", "camera")
    assert has(await found(check_certificate, host=("0.0.0.0",), trusted_proxy=("10.0.0.1",)), "ok")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = await found(check_certificate, tls="self-signed", host_name=("rooms.lan",))
    assert has(made, "ok", "rooms.lan")
    assert has(made, "ok", "self-signed")


# Ports and addresses


async def test_a_port_is_free_or_ours_or_somebody_elses(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_ANSWER", LOADED)
    async with serving(media_server) as server:
        assert has(await found(check_port, port=server.port), "ok", "a room server listens there already")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            media = {"media_host": "127.0.0.1", "media_port": port}
            assert has(
                await found(check_media_port, port=server.port, **media), "ok", "a room server runs already"
            )
    with reserved_port() as port:
        with socket.create_server(("127.0.0.1", port)):
            monkeypatch.setattr(network, "_ANSWER", 0.3)
            assert has(await found(check_port, port=port), "fault", "Address already in use")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
                taken.bind(("127.0.0.1", 0))
                media = {"media_host": "127.0.0.1", "media_port": taken.getsockname()[1]}
                assert has(await found(check_media_port, port=port, **media), "fault", "Address already in use")
        assert has(await found(check_port, port=port), "ok", "is free")
    assert has(await found(check_port, host=("192.0.2.77",)), "fault", "192.0.2.77")


async def test_the_media_port_is_reached_from_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_PROBE", LOADED)
    assert has(await found(check_media_port), "ok", "is reached from this machine")
    several = await found(check_media_port, media_host="127.0.0.1", media_port=0, media_workers=3)
    assert has(several, "ok", "is reached from this machine")
    assert has(await found(check_media_port, host=("0.0.0.0",)), "warning", "no firewall")
    with reserved_port() as port:
        over_tcp = {"media_host": "127.0.0.1", "media_tcp_port": port}
        assert has(await found(check_media_port, **over_tcp), "ok", "TCP port")
        with socket.create_server(("127.0.0.1", port)):
            assert has(
                await found(check_media_port, **over_tcp), "fault", f"TCP port {port}: Address already in use"
            )
    assert await found(check_media_port, kurento=("ws://media:8888/kurento",)) == []

    async def filtered(*_: object) -> bool:
        return False

    monkeypatch.setattr(network, "_comes_back", filtered)
    assert has(await found(check_media_port, media_host="127.0.0.1"), "fault", "not reached at 127.0.0.1")


@pytest.mark.parametrize(
    ("announced", "outcome", "words"),
    [
        ("8.8.8.8", "ok", ("NAT",)),
        ("8.8.8.8:40000", "ok", ("NAT",)),
        ("10.255.255.254", "warning", ("private address of another machine",)),
        ("127.0.0.1", "warning", ("only this machine",)),
        ("0.0.0.0", "fault", ("nobody can send",)),
        ("239.1.2.3", "fault", ("nobody can send",)),
        ("nowhere.invalid", "fault", ("nowhere.invalid has no address",)),
    ],
)
async def test_an_announced_address_is_one_that_browsers_can_send_to(
    announced: str, outcome: str, words: tuple[str, ...]
) -> None:
    assert has(await found(check_announced, announced_address=(announced,)), outcome, *words)


async def test_media_addresses_are_this_machines_unless_told_otherwise() -> None:
    own = addresses_of_this_machine()
    if own:
        assert has(await found(check_announced, announced_address=(str(own[0]),)), "ok", "this machine's own")
    assert has(await found(check_announced), "ok", "browsers send media to")
    if not any(ip.is_global for ip in own):
        assert has(await found(check_announced, host=("0.0.0.0",)), "warning", "only this network")
    with_kurento = {"kurento": ("ws://media:8888/kurento",)}
    assert await found(check_announced, **with_kurento) == []
    told = await found(check_announced, announced_address=("8.8.8.8",), **with_kurento)
    assert has(told, "warning", "embedded media server only")


@pytest.mark.parametrize(
    ("flags", "outcome", "words"),
    [
        ({}, "ok", ("none is trusted",)),
        ({"trusted_proxy": ("127.0.0.1",)}, "ok", ("127.0.0.1/32",)),
        ({"trusted_proxy": ("10.0.0.0/8",)}, "ok", ("10.0.0.0/8",)),
        ({"trusted_proxy": ("0.0.0.0/0",)}, "fault", ("forge",)),
        ({"trusted_proxy": ("::/0",)}, "fault", ("forge",)),
        ({"trusted_proxy": ("8.0.0.0/9",)}, "warning", ("addresses",)),
        ({"host_name": ("localhost",)}, "warning", ("share the limits of one address",)),
        ({"path_prefix": "/rooms"}, "warning", ("share the limits of one address",)),
        ({"path_prefix": "/rooms", "trusted_proxy": ("127.0.0.1",)}, "ok", ("/rooms/",)),
        ({"path_prefix": "/r", "trusted_proxy": ("127.0.0.1",)}, "fault", ("/r begins like",)),
        ({"path_prefix": "/ws/rooms", "trusted_proxy": ("127.0.0.1",)}, "fault", ("/ws/rooms begins like",)),
        ({"host_name": ("localhost",)}, "ok", ("localhost is at",)),
        ({"host_name": ("nowhere.invalid",)}, "warning", ("nowhere.invalid has no address",)),
        ({"host_name": ("*",)}, "warning", ("every name",)),
    ],
)
async def test_what_stands_in_front_of_the_server_is_plausible(
    flags: dict[str, Any], outcome: str, words: tuple[str, ...]
) -> None:
    assert has(await found(check_front, **flags), outcome, *words)


# Other servers


def test_a_real_turn_server_accepts_or_refuses_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_WITHIN", LOADED)
    with coturn(tmp_path, "127.0.0.1") as port:
        here = f"127.0.0.1:{port}"

        async def main() -> None:
            by_both = (f"turn:{here}?transport=udp", f"turn:{here}?transport=tcp")
            accepted = await found(check_turn, turn_uri=by_both, turn_secret=SECRET, ice_servers=(f"stun:{here}",))
            assert [line.partition(" ")[0] for line in accepted] == ["ok"] * 3, accepted
            assert has(accepted, "ok", f"stun:{here} answers")
            assert sum("accepts the credentials, and relays at 127.0.0.1" in line for line in accepted) == 2
            refused = await found(check_turn, turn_uri=by_both, turn_secret="south wind")
            assert len(refused) == 2
            assert all("refuses the credentials: 401" in line for line in refused)
            expired = "|".join(time_limited_credentials(SECRET, "check", int(time.time()) - 1))
            good = "|".join(time_limited_credentials(SECRET, "check", int(time.time()) + 600))
            for credential, outcome in ((expired, "fault"), (good, "ok")):
                (asked,) = await found(check_turn, ice_servers=(f"turn:{here}|{credential}",))
                assert asked.startswith(outcome), asked

        trio.run(main)


async def test_a_turn_server_that_is_not_there_is_a_fault_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "_WITHIN", 0.3)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        socket.create_server(("127.0.0.1", 0)) as deaf,
    ):
        silent.bind(("127.0.0.1", 0))
        udp, tcp = f"127.0.0.1:{silent.getsockname()[1]}", f"127.0.0.1:{deaf.getsockname()[1]}"
        uris = (f"turn:{udp}", f"turn:{tcp}?transport=tcp", "turn:nowhere.invalid")
        lost = await found(check_turn, turn_uri=uris, turn_secret=SECRET, ice_servers=(f"stun:{udp}",))
    assert [line.partition(" ")[0] for line in lost] == ["fault"] * 4, lost
    assert sum("does not answer" in line for line in lost) >= 3
    assert has(lost, "fault", "nowhere.invalid")
    assert has(await found(check_turn), "ok", "not needed")
    assert has(await found(check_turn, host=("0.0.0.0",)), "warning", "blocks UDP")


async def test_without_aioice_the_check_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aioice", None)
    said = await check_turn(load({"turn_uri": ("turn:127.0.0.1",), "turn_secret": SECRET}, {}))
    assert lines(said) == ["warning turn:127.0.0.1 was not checked: aioice is not installed"]
    assert "roomfsm[peer]" in said[0].mend


async def test_each_media_server_is_asked_for_its_version(
    media_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = "ws://127.0.0.1:9/kurento"
    with monkeypatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as deaf:
        patch.setattr(kurento, "_PATIENCE", 0.3)
        silent = f"ws://127.0.0.1:{deaf.getsockname()[1]}/kurento"
        away = await found(kurento.check_kurento, kurento=(silent,))
    assert has(away, "fault", silent, "no websocket handshake in 0.3 s")
    monkeypatch.setattr(kurento, "_PATIENCE", LOADED)
    away = await found(kurento.check_kurento, kurento=(nobody, media_server))
    assert has(away[:1], "fault", nobody, "cannot connect")
    assert has(away[1:], "ok", media_server, "version 7.")
    assert has(await found(kurento.check_kurento, kurento=(media_server,)), "ok", media_server, "version 7.")
    monkeypatch.setattr(kurento, "is_too_old", lambda _: True)
    assert has(await found(kurento.check_kurento, kurento=(media_server,)), "fault", "is version 7.")


# Who may enter, and who is told


POLICIES = [
    # What stands in the file, the words of the warning about it, and what it says to do.
    ('[room."a-*"]\n[room."a-1"]', ('[room."a-1"] never applies', '[room."a-*"] stands before'), "move"),
    ('[room."*"]\n[room."B-?"]', ('[room."B-?"] never applies',), "move"),
    ('[room."A-*"]\n[room."a-?x*"]', ('[room."a-?x*"] never applies',), "move"),
    ('[room."x"]\nenter = "token"', ('[room."x"] lets nobody in', "token_key"), "set token_key"),
    (
        '[room."x"]\nenter = "invited"\ninvited = ["a"]',
        ('[room."x"] lets nobody in', "token_key"),
        "set token_key",
    ),
    ('[room."x"]\nlobby = true\nfirst_moderates = false', ("lets nobody in", "lobby"), "first_moderates = true"),
    ('[room."x"]\nlocked = true', ("lets nobody in", "locked"), "set token_key"),
    (
        '[room."x"]\nmax_people = 3\nmax_presenters = 4',
        ("4 people present", "only 3 people"),
        "max_presenters = 3",
    ),
    (
        'max_people = 3\n[room."x"]\nmax_presenters = 4',
        ("4 people present", "only 3 people"),
        "max_presenters = 3",
    ),
]


@pytest.mark.parametrize(("text", "words", "mend"), POLICIES)
async def test_a_policy_that_never_applies_or_lets_nobody_in_is_named(
    text: str, words: tuple[str, ...], mend: str, tmp_path: Path
) -> None:
    file = tmp_path / "roomfsm.toml"
    file.write_text(text)
    (finding,) = await check_policies(load({}, {}, file))
    assert has(lines([finding]), "warning", *words)
    assert mend in finding.mend


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[room."a-1"]\n[room."a-*"]\n[room."*"]',
        '[room."a?"]\n[room."a*"]\n[room."*a"]',
        '[room."x"]\nlobby = true',
        '[room."x"]\nlobby = true\nfirst_moderates = false\nrole = "moderator"',
        '[room."x"]\nmax_people = 3\nmax_presenters = 3',
        '[room."x"]\nmax_people = 1',
        f'token_key = "{"k" * 32}"\n[room."x"]\nenter = "token"\nlocked = true\n[room."y"]\nlobby = true\n'
        "first_moderates = false",
    ],
)
async def test_policies_that_apply_and_let_people_in_are_in_order(text: str, tmp_path: Path) -> None:
    file = tmp_path / "roomfsm.toml"
    file.write_text(text)
    (finding,) = await check_policies(load({}, {}, file))
    assert finding.outcome == "ok", finding


@given(st.text("aB*?", min_size=1, max_size=4), st.text("aB*?", min_size=1, max_size=4))
def test_a_pattern_covers_another_if_every_name_that_fits_it_fits_both(general: str, special: str) -> None:
    names = ("".join(letters) for size in range(7) for letters in itertools.product("abx", repeat=size))
    every = all(matches(general, name) for name in names if matches(special, name))
    assert covers(general, special) == every


async def test_an_address_of_keys_gives_keys_or_it_is_said_why_not(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    answers = {
        "/good": (200, json.dumps({"keys": [ECKey.import_key(key).as_dict()]})),
        "/gone": (404, ""),
        "/text": (200, "no keys"),
    }
    async with answering(answers) as address:
        for path, outcome, words in (
            ("/good", "ok", "has 1 key"),
            ("/gone", "warning", "status 404"),
            ("/text", "warning", "not JSON"),
        ):
            assert has(await found(check_keys, token_key=(address + path,)), outcome, address + path, words)
    assert has(await found(check_keys, token_key=("http://127.0.0.1:9/keys",)), "warning", "127.0.0.1:9")
    assert await found(check_keys) == []


async def test_a_receiver_of_webhooks_answers_or_it_is_said_why_not() -> None:
    async def ask(*addresses: str) -> list[str]:
        return await found(check_webhooks, webhook=addresses, webhook_secret=(f"whsec_{'QUJD' * 8}",))

    statuses = {200: "ok", 405: "ok", 400: "ok", 302: "warning", 401: "warning", 403: "warning", 404: "warning"}
    statuses[500] = "warning"
    async with answering({f"/{status}": (status, "") for status in statuses}) as address:
        told = await ask(*(f"{address}/{status}" for status in statuses))
        assert len(told) == len(statuses)
        for line, (status, outcome) in zip(told, statuses.items(), strict=True):
            assert line.startswith(outcome), line
            assert f"status {status}" in line
    told = await ask("http://127.0.0.1:9/hooks/who-knows-this-may-post?key=who-knows-this")
    assert has(told, "warning", "http://127.0.0.1:9/…")
    assert "who-knows-this" not in "".join(told)
    away = await ask("http://nowhere.invalid/hooks")
    assert has(away, "warning", "not encrypted")
    assert len(away) == 2
    assert await found(check_webhooks) == []


@asynccontextmanager
async def answering(answers: dict[str, tuple[int, str]]) -> AsyncIterator[str]:
    """A server of HTTP with these answers by the paths. Gives its address."""

    async def answer(stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        status, body = answers[head.split()[1].decode()]
        await stream.send_all(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


# This machine, and the whole


@pytest.mark.parametrize(
    ("synchronised", "line"),
    [(True, "ok it is synchronised"), (False, "warning nothing keeps it right"), (None, "warning whether it is")],
)
async def test_the_clock_is_right_or_wrong_or_unknown(
    synchronised: bool | None, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine._is_synchronised() in (True, False, None)
    monkeypatch.setattr(machine, "_is_synchronised", lambda: synchronised)
    assert has(await found(check_clock), *line.split(" ", 1))


async def test_a_check_that_fails_or_hangs_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def fails(settings: Settings) -> list[Finding]:
        raise RuntimeError("a mistake of ours")

    async def hangs(settings: Settings) -> list[Finding]:
        await trio.sleep_forever()

    monkeypatch.setattr(program, "CHECKS", {"fails": fails, "hangs": hangs, "clock": check_clock})
    findings = await examine(Settings())
    assert [finding.check for finding in findings] == ["fails", "hangs", "clock"]
    assert "a mistake of ours" in findings[0].what
    assert f"no answer in {DEADLINE:g} s" in findings[1].what


def roomfsm_check(*arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'{shell} exec "$0" -m roomfsm check "$@"', sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ})


def test_the_command_prints_a_line_each_and_exits_with_1_if_there_is_a_fault(tmp_path: Path) -> None:
    config = tmp_path / "roomfsm.toml"
    config.write_text('port = 0\nmedia_host = "127.0.0.1"\n')
    good = roomfsm_check(f"--config={config}", shell="ulimit -n 1000;")
    assert (good.returncode, good.stderr) == (0, ""), good
    printed = good.stdout.splitlines()
    assert all(line.startswith(("ok ", "warning ")) for line in printed)
    assert any(line.startswith("warning") and "1000 open files" in line and "→" in line for line in printed)
    bad = roomfsm_check(f"--config={config}", "--host=192.0.2.77", "--format=json")
    report = json.loads(bad.stdout)
    assert (bad.returncode, report["faults"]) == (1, 1)
    (fault,) = (one for one in report["findings"] if one["outcome"] == "fault")
    assert set(fault) == {"check", "outcome", "what", "mend"}
    config.write_text("prot = 8080\n")
    wrong = roomfsm_check(f"--config={config}", "--format=json")
    assert wrong.returncode == 1
    (only,) = json.loads(wrong.stdout)["findings"]
    assert (only["check"], only["outcome"]) == ("settings", "fault")
    assert "'prot' is not a setting" in only["what"]


# The store


async def test_a_folder_for_the_rooms_is_one_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert has(await found(check_store, data="none"), "ok", "end with the server")
    assert has(await found(check_store, data=str(tmp_path / "new" / "folder")), "ok", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    assert has(await found(check_store, data=str(tmp_path / "file" / "folder")), "fault", str(tmp_path / "file"))
    assert has(await found(check_store, data="~nobody-of-this-name/x"), "fault", "~nobody-of-this-name")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert has(await found(check_store), "warning", str(tmp_path / "file"))


async def test_a_redis_for_the_rooms_is_asked_and_its_password_is_not_told(tmp_path: Path) -> None:
    assert has(await found(check_store, store="redis://ada:open-sesame@127.0.0.1:9/0"), "fault", "127.0.0.1:9")
    assert "open-sesame" not in str(await found(check_store, store="redis://ada:open-sesame@127.0.0.1:9/0"))
    with redis_server(tmp_path) as url:
        assert has(await found(check_store, store=url), "warning", "forgets everything")
    with redis_server(tmp_path, "--save", "3600 1") as url:
        assert has(await found(check_store, store=url), "warning", "after its last save point")
    with redis_server(tmp_path, "--appendonly", "yes") as url:
        assert has(await found(check_store, store=url), "ok", "rooms are kept in redis://127.0.0.1")


# The media server outlives the server


def no_pipes(path: Path, mode: int) -> None:
    """A file system that has no pipes with names."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)


async def test_where_the_media_server_is_found_again_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has(await found(check_linger, data="none"), "ok", "ends with the server", "--data none")
    assert has(await found(check_linger, media_linger=0.0), "ok", "ends with the server", "--media-linger 0")
    assert has(await found(check_linger, kurento=("ws://a:1/kurento",)), "ok", "of their own")
    # In a folder with a short path, as a socket needs it.
    with tempfile.TemporaryDirectory() as short:
        data = Path(short) / "data"
        assert has(await found(check_linger, data=str(data)), "ok", "by 10 s", str(data))
        assert not data.exists()
        for name, folder in (("RUNTIME_DIRECTORY", f"{short}/a"), ("XDG_RUNTIME_DIR", f"{short}/b")):
            monkeypatch.setenv(name, folder)
            assert has(await found(check_linger, store="redis://127.0.0.1:9"), "ok", folder)
            monkeypatch.delenv(name)
        with monkeypatch.context() as patched:
            patched.setattr(os, "mkfifo", no_pipes)
            assert has(await found(check_linger, data=str(data)), "warning", "no folder")
        assert os.listdir(short) == []
        long = f"{short}/{'x' * 100}"
        assert has(await found(check_linger, data=long), "ok", tempfile.gettempdir())
        monkeypatch.setattr(tempfile, "tempdir", long)
        assert has(await found(check_linger, data=long), "warning", "no folder")
        monkeypatch.setattr(adoption, "is_possible", lambda: False)
        assert has(await found(check_linger, data=str(data)), "warning", "cannot watch")
