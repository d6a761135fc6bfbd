"""Checks the server's certificate: its key, its names, its time and its chain."""

from __future__ import annotations

import ssl
import warnings
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trio
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from roomfsm.certificates import CertificateError, read_certificate
from roomfsm.check.findings import Finding, fault, ok, warning
from roomfsm.hosts import ANY, answers_to, host_setting, is_address
from roomfsm.interfaces import is_open_to_others
from roomfsm.self_signed import self_signed_file
from roomfsm.settings import Settings

_SOON = timedelta(days=14)
_NAME = "certificate"


async def check_certificate(settings: Settings) -> list[Finding]:
    """Look at the certificate that the server would use."""
    server = settings.server
    if not server.https:
        if not is_open_to_others(server.host) or settings.door.trusted_proxy:
            return [ok(_NAME, "none: the server speaks plain HTTP to this machine or to a proxy")]
        mend = "use --certfile and --keyfile, or --tls self-signed, or a proxy that speaks HTTPS (docs/deploy.md)"
        return [warning(_NAME, "none, so that pages from other machines may not use the camera", mend)]
    try:
        read = await read_certificate(settings)
    except CertificateError as error:
        return [fault(_NAME, str(error), "give the chain to --certfile and the key of its first certificate")]
    assert read is not None
    return await trio.to_thread.run_sync(_look_at, settings, read.names, abandon_on_cancel=True)


def _look_at(settings: Settings, names: tuple[str, ...]) -> list[Finding]:
    server = settings.server
    file = Path(server.certfile) if server.certfile else self_signed_file(settings.door.host_name)
    chain = x509.load_pem_x509_certificates(file.read_bytes())
    leaf = chain[0]
    findings = [_time(leaf)]
    missing = [name for name in settings.door.host_name if name != ANY and not _covers(names, name)]
    if missing:
        mend = "get a certificate with that name, or correct --host-name"
        findings.append(fault(_NAME, f"it is not for {', '.join(missing)}, but for {', '.join(names)}", mend))
    elif names:
        findings.append(ok(_NAME, f"it is for {', '.join(names)}"))
    if server.tls is not None:
        return [*findings, ok(_NAME, "it is self-signed: browsers warn of it once")]
    findings.append(_trust(chain, names))
    if server.keyfile is not None and Path(server.keyfile).stat().st_mode & 0o007:
        findings.append(
            warning(_NAME, f"everybody on this machine can read {server.keyfile}", f"chmod o= {server.keyfile}")
        )
    return findings


def _covers(names: tuple[str, ...], host_name: str) -> bool:
    # A name of the settings may be a pattern; the certificate must then have the same pattern.
    return host_name in names or (not host_name.startswith("*") and answers_to(host_name, names))


def _time(leaf: x509.Certificate) -> Finding:
    now = datetime.now(UTC)
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begin:
        return fault(_NAME, f"it is not valid before {begin:%Y-%m-%d %H:%M} UTC", "check this machine's clock")
    if end <= now:
        return fault(_NAME, f"it expired on {end:%Y-%m-%d}", "renew it, and send the server SIGHUP")
    left = f"it is valid until {end:%Y-%m-%d}, for {(end - now).days} days"
    if end - now < _SOON:
        return warning(_NAME, left, "renew it, and send the server SIGHUP")
    return ok(_NAME, left)


def _trust(chain: list[x509.Certificate], names: tuple[str, ...]) -> Finding:
    """Whether a client with this machine's authorities trusts the chain as the server sends it."""
    leaf, *rest = chain
    for issued, issuer in zip(chain, rest, strict=False):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, x509.InvalidVersion):
            who, other = issued.subject.rfc4514_string(), issuer.subject.rfc4514_string()
            mend = "put the server's certificate first, and after each one the one that issued it"
            return fault(_NAME, f"the chain is broken: {who} was not issued by {other}", mend)
        except (InvalidSignature, UnsupportedAlgorithm) as error:
            return fault(_NAME, f"the chain is broken: {error!r}", "get the chain from your authority again")
    subject = next((name for name in names if not name.startswith("*")), None)
    roots = _roots()
    if subject is None or is_address(subject) or host_setting(subject) is None or not roots:
        return warning(_NAME, "whether browsers trust it was not checked", "open the page, and look for a warning")
    try:
        verifier = PolicyBuilder().store(Store(roots)).build_server_verifier(x509.DNSName(subject))
        verifier.verify(leaf, rest)
    except VerificationError as error:
        issuer_name = leaf.issuer.rfc4514_string()
        mend = "send the whole chain, with the authority's intermediate certificates (fullchain.pem)"
        return warning(_NAME, f"this machine does not trust its issuer {issuer_name} ({error})", mend)
    return ok(_NAME, f"its chain of {len(chain)} leads to an authority that this machine trusts")


def _roots() -> list[x509.Certificate]:
    """The authorities that this machine trusts, without those that cryptography cannot read."""
    roots: list[x509.Certificate] = []
    with warnings.catch_warnings():
        # Some old authorities have a serial number that RFC 5280 forbids.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            with suppress(ValueError):
                roots.append(x509.load_der_x509_certificate(der))
    return roots
