"""The certificate that the peer shows in its DTLS handshakes (RFC 8827 section 6.5)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL


@cache
def identity(profiles: bytes, certified: bool) -> tuple[SSL.Context, bytes]:
    """The DTLS context and the certificate's SHA-256, shared by all peers: making one takes longer than a join."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    context = SSL.Context(SSL.DTLS_METHOD)
    if certified:
        context.use_certificate(certificate)
        context.use_privatekey(key)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_any)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_tlsext_use_srtp(profiles)
    return context, hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()


def _accept_any(_connection: SSL.Connection, _certificate: Any, *_rest: int) -> bool:
    return True
