"""The server's TLS certificate, read from the files of the settings or made by `roomfsm.self_signed`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trio
from cryptography import x509

from roomfsm.hosts import ANY, host_setting
from roomfsm.self_signed import self_signed_file
from roomfsm.settings import Settings

_READ_WITHIN = 5.0
"""The most seconds for reading the certificate, because its file may be on a disk that does not answer."""


class CertificateError(Exception):
    """There is no usable certificate. The message says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A TLS certificate that was read from its files."""

    tls: ssl.SSLContext
    names: tuple[str, ...]
    """The DNS names in the certificate (RFC 5280 section 4.2.1.6). Browsers do not trust us under any other
    name."""


async def read_certificate(settings: Settings) -> Certificate | None:
    """The certificate of the settings; None if there is none.

    A slow disk does not block the server. Raises `CertificateError`.
    """
    if not settings.server.https:
        return None
    with trio.move_on_after(_READ_WITHIN):
        return await trio.to_thread.run_sync(_read, settings, abandon_on_cancel=True)
    raise CertificateError(f"{_files(settings)} cannot be read: no answer in {_READ_WITHIN:g} s")


def _files(settings: Settings) -> str:
    server = settings.server
    return "the self-signed certificate" if server.tls else f"{server.certfile} and {server.keyfile}"


def _read(settings: Settings) -> Certificate:
    certfile, keyfile = settings.server.certfile, settings.server.keyfile
    if settings.server.tls is not None:
        try:
            certfile = keyfile = str(self_signed_file(settings.door.host_name))
        except OSError as error:
            raise CertificateError(
                f"--tls self-signed: the certificate cannot be kept in {error.filename}: {error.strerror}"
            ) from error
    assert certfile is not None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # A key with a password is refused, because there is nobody to ask for it.
        context.load_cert_chain(certfile, keyfile, password=lambda: "")
        pem = Path(certfile).read_bytes()
    except (OSError, ssl.SSLError) as error:
        why = f"{certfile} and {keyfile} are not a certificate and its private key (PEM): {error}"
        raise CertificateError(why) from error
    context.set_alpn_protocols(["http/1.1"])
    return Certificate(context, tuple(_names_of(pem)))


_NO_NAMES = x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType
"""The errors for a certificate without names, or with unusual ones."""


def _names_of(pem: bytes) -> list[str]:
    """The DNS names of a certificate, in the form of host names."""
    try:
        certificate = x509.load_pem_x509_certificates(pem)[0]
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, *_NO_NAMES):
        return []
    return [name for name in map(host_setting, names.get_values_for_type(x509.DNSName)) if name not in (None, ANY)]
