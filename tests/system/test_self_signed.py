"""Given `--tls self-signed`, the server makes a certificate that browsers can use, and keeps it."""

from __future__ import annotations

import ipaddress
import os
import pty
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from roomfsm import self_signed
from roomfsm.addresses import address_for_phones, addresses_to_open
from roomfsm.interfaces import addresses_of_this_machine
from roomfsm.self_signed import RENEW_DAYS, VALID_DAYS, names_of_this_machine, self_signed_file
from roomfsm.settings import SettingsError, load
from tests.conftest import make_certificate
from tests.processes import LOADED, started
from tests.system.program import running
from tests.system.test_reload import hang_up, shown_certificate

type Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def subjects(certificate: x509.Certificate) -> tuple[set[str], set[Ip]]:
    """The names and addresses for which the certificate is valid."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [
        ip
        for ip in names.get_values_for_type(x509.IPAddress)
        if isinstance(ip, ipaddress.IPv4Address | ipaddress.IPv6Address)
    ]
    return set(names.get_values_for_type(x509.DNSName)), set(addresses)


def test_it_has_each_name_and_address_of_this_machine_and_a_time_that_browsers_take(tmp_path: Path) -> None:
    file = self_signed_file(["rooms.lan", "*"], tmp_path / "state" / "roomfsm")
    certificate = read(file)
    names, addresses = subjects(certificate)
    assert {"localhost", "rooms.lan"} <= names
    assert any(name.endswith(".local") for name in names)
    assert "*" not in names
    loopback = {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    assert addresses == {*loopback, *addresses_of_this_machine()}
    assert timedelta(days=90) < certificate.not_valid_after_utc - datetime.now(UTC)
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= timedelta(days=VALID_DAYS)
    assert VALID_DAYS <= 397
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file], "nothing else is left there"
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(file)


@pytest.mark.parametrize("name", ["Ada's computer", "x" * 70, "", "bücher", "my_laptop.example.org"])
def test_the_machine_may_have_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    names, _ = subjects(read(self_signed_file([], tmp_path)))
    assert names == set(names_of_this_machine())
    if name == "my_laptop.example.org":
        assert names == {"localhost", name, "my_laptop.local"}


def _expires_soon(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_signed, "VALID_DAYS", RENEW_DAYS)
    file.unlink()
    self_signed_file([], file.parent)
    monkeypatch.undo()


def _new_address(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = [*addresses_of_this_machine(), ipaddress.ip_address("198.51.100.7")]
    monkeypatch.setattr(self_signed, "addresses_of_this_machine", lambda: more)


def _read_by_others(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0o640)


def _broken(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _not_its_key(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, _, _ = file.read_text().partition("-----BEGIN PRIVATE")
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_text(certificate + other.decode())


def _empty(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"")


def test_it_is_used_again_as_long_as_it_is_good(tmp_path: Path) -> None:
    before = self_signed_file(["rooms.lan"], tmp_path).read_bytes()
    assert self_signed_file([], tmp_path).read_bytes() == before
    assert self_signed_file(["other.lan"], tmp_path).read_bytes() != before


@pytest.mark.parametrize("spoil", [_expires_soon, _new_address, _read_by_others, _broken, _not_its_key, _empty])
def test_it_is_made_anew_if_it_is_not_good_any_more(
    spoil: Callable[[Path, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = self_signed_file([], tmp_path)
    before = read(file)
    spoil(file, monkeypatch)
    assert read(self_signed_file([], tmp_path)) != before
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_settings_take_one_certificate(tmp_path: Path) -> None:
    pem, key = make_certificate(tmp_path)
    with pytest.raises(SettingsError, match=r"--tls self-signed .* --certfile"):
        load({"tls": "self-signed", "certfile": str(pem), "keyfile": str(key)}, {})
    with pytest.raises(SettingsError, match="'always' is not self-signed"):
        load({"tls": "always"}, {})
    assert load({}, {"ROOMFSM_TLS": "self-signed"}).server.https
    settings = load({"tls": "self-signed", "host_name": ("rooms.lan",)}, {})
    assert addresses_to_open(settings, 80) == ["https://localhost:80/", "https://rooms.lan:80/"]


def test_a_phone_is_sent_to_the_address_by_which_this_machine_reaches_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed = ["https://localhost:1/", "https://172.17.0.1:1/", "https://[2001:db8::5]:1/", "https://10.0.0.5:1/"]
    monkeypatch.setattr(
        "roomfsm.addresses.outward_address", lambda version: {4: ipaddress.ip_address("10.0.0.5")}.get(version)
    )
    assert address_for_phones(listed) == "https://10.0.0.5:1/"
    assert address_for_phones(listed[:2]) == "https://172.17.0.1:1/"
    assert address_for_phones(listed[:1]) is None


def test_the_program_serves_it_prints_a_qr_code_and_tells_plain_http_where_to_go(tmp_path: Path) -> None:
    state = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "roomfsm", "--tls=self-signed", "--port=0", "--host=0.0.0.0", "--host=::1"]
    with (
        (tmp_path / "log").open("w") as log,
        os.fdopen(screen, "rb", buffering=0) as reader,
        started(
            [*command, "--media-host=127.0.0.1"], stdout=terminal, stderr=log, env={**state, "PYTHONUTF8": "1"}
        ) as process,
    ):
        os.close(terminal)
        printed = b""
        # A read may end within a character.
        while not printed.endswith("▀\r\n".encode()):
            more = reader.read(4096)
            assert more, (printed, (tmp_path / "log").read_text())
            printed += more
        said = printed.decode()
        port = int(said.partition("https://localhost:")[2].partition("/")[0])
        file = tmp_path / "state" / "roomfsm" / "self-signed.pem"
        # The certificate is trusted as it is, so that names and times are checked as a browser would.
        context = ssl.create_default_context(cafile=str(file))
        for host, asked in (("127.0.0.1", "localhost"), ("::1", "::1")):
            with (
                socket.create_connection((host, port), timeout=LOADED) as raw,
                context.wrap_socket(raw, server_hostname=asked) as sock,
            ):
                assert sock.getpeercert()
        with socket.create_connection(("127.0.0.1", port), timeout=LOADED) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = plain.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 400")
            assert b"https://" in answer
        process.terminate()
        assert process.wait(LOADED) == 0
    for address in addresses_of_this_machine():
        if address.version == 4:
            assert f"https://{address}:{port}/" in said
    assert "on a phone" in said
    assert "warn once" in said


def test_alone_it_says_how_phones_get_in_and_what_is_wrong_with_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "roomfsm", "--tls=self-signed", "--port=0"]
    (tmp_path / "roomfsm").write_text("a file where the folder should be")
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
    )
    assert done.returncode == 2
    assert f"cannot be kept in {tmp_path}/roomfsm" in done.stderr
    (tmp_path / "roomfsm").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path))
        with running(tmp_path, "--tls=self-signed") as program:
            assert program.address.startswith("https://localhost:")
            assert program.process.stdout is not None
            said = [program.process.stdout.readline() for _ in range(2)]
            assert "--host 0.0.0.0" in said[1]
            # SIGHUP shows the one that is right by then.
            before = shown_certificate(program.port)
            hang_up(program)
            assert shown_certificate(program.port) == before
            (tmp_path / "roomfsm" / "self-signed.pem").unlink()
            hang_up(program)
            assert shown_certificate(program.port) not in (before, None)
            assert program.end() == 0
