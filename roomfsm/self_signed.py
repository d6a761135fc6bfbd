"""A certificate that the server makes by itself, so that phones in the same network may use their cameras.

Browsers let only pages with `https://` use the camera, and nobody issues a certificate for an address such as
192.168.1.5. So `--tls self-signed` makes one. Browsers warn of it once, and remember for which certificate the
user said yes. It is therefore kept in a file and used again, as long as it has every name and address that this
machine has now, and is not about to expire. The file holds the certificate and its private key together, and is
replaced as a whole, so that two servers that start at the same moment never mix the key of one with the
certificate of the other.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import platformdirs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from roomfsm.hosts import normal_name
from roomfsm.interfaces import Ip, addresses_of_this_machine

VALID_DAYS = 397
"""Days from the first to the last moment of its validity. Browsers refuse certificates that are valid for longer
than 398 days."""
RENEW_DAYS = 30
"""A certificate that expires within so many days is replaced."""
_BACKDATED = timedelta(days=1)
"""So that it is valid on a phone whose clock is slow."""
_FILE = "self-signed.pem"
_MAX_COMMON_NAME = 64
"""Characters (RFC 5280, appendix A.1, ub-common-name)."""


def state_folder() -> Path:
    """The user's folder for data of this program that lasts, such as `~/.local/state/roomfsm`."""
    return platformdirs.user_state_path("roomfsm", appauthor=False)


def self_signed_file(host_names: Iterable[str], folder: Path | None = None) -> Path:
    """The file (PEM) with a certificate for this machine, and its private key. It is made if there is none.

    `host_names` are more names that the certificate must have. Raises `OSError`.
    """
    folder = folder or state_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / _FILE
    names, addresses = names_of_this_machine(host_names), _addresses()
    if not _is_good(file, names, addresses):
        _replace(file, _make(names, addresses))
    return file


def names_of_this_machine(host_names: Iterable[str] = ()) -> list[str]:
    """localhost, this machine's name, that name with `.local` (multicast DNS, RFC 6762), and `host_names`."""
    own = normal_name(socket.gethostname())
    by_mdns = [] if own is None else [own, own.partition(".")[0] + ".local"]
    return list(dict.fromkeys(["localhost", *by_mdns, *(name for name in host_names if name != "*")]))


def _addresses() -> list[Ip]:
    loopback: list[Ip] = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    return list(dict.fromkeys([*loopback, *addresses_of_this_machine()]))


def _is_good(file: Path, names: list[str], addresses: list[Ip]) -> bool:
    """Whether the file can be used (again)."""
    try:
        if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            return False  # Others may have read the key.
        pem = file.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        key = serialization.load_pem_private_key(pem, None)
        known = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    now = datetime.now(UTC)
    return (
        key.public_key() == certificate.public_key()
        and certificate.not_valid_before_utc <= now
        and now + timedelta(days=RENEW_DAYS) < certificate.not_valid_after_utc
        and set(names) <= set(known.get_values_for_type(x509.DNSName))
        and set(addresses) <= set(known.get_values_for_type(x509.IPAddress))
    )


def _make(names: list[str], addresses: list[Ip]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    common_name = f"roomfsm on {socket.gethostname()}"[:_MAX_COMMON_NAME]
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    begin = datetime.now(UTC) - _BACKDATED
    subjects = [*map(x509.DNSName, names), *map(x509.IPAddress, addresses)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(subjects), critical=False)
        # No authority: Firefox takes none as the certificate of a server, and who trusts it trusts nothing else.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private


def _replace(file: Path, content: bytes) -> None:
    """Write the whole file or nothing. Only its owner can read it (`mkstemp`). Raises `OSError`."""
    descriptor, name = tempfile.mkstemp(prefix=file.name, dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as temporary:
            temporary.write(content)
        os.replace(name, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
