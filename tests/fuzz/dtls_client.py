"""A DTLS-SRTP client without a socket: datagrams in, datagrams out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL


def make_certificate() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fuzz")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return key, builder.sign(key, hashes.SHA256())


def make_context() -> SSL.Context:
    """Of a client, yet without a certificate."""
    context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
    context.set_options(SSL.OP_NO_QUERY_MTU)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
    return context


@cache
def identity() -> tuple[SSL.Context, bytes]:
    """The context of all clients, and the certificate's SHA-256."""
    key, certificate = make_certificate()
    context = make_context()
    context.use_certificate(certificate)
    context.use_privatekey(key)
    return context, certificate.fingerprint(hashes.SHA256())


class DtlsClient:
    """Begins the handshake when it is made."""

    def __init__(self) -> None:
        context, self.digest = identity()
        self.connection = SSL.Connection(context, None)
        self.connection.set_ciphertext_mtu(1200)
        self.connection.set_connect_state()
        self.connected = False
        self.receive(b"")

    def receive(self, datagram: bytes) -> None:
        if datagram:
            self.connection.bio_write(datagram)
        try:
            if not self.connected:
                self.connection.do_handshake()
                self.connected = True
            self.connection.recv(2048)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            pass

    def receive_all(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            self.receive(datagram)

    def take(self) -> list[bytes]:
        """What it has to send: a record a datagram."""
        datagrams = []
        try:
            records = self.connection.bio_read(65536)
        except SSL.WantReadError:
            return []
        while records:
            end = 13 + int.from_bytes(records[11:13])
            datagrams.append(records[:end])
            records = records[end:]
        return datagrams

    def keys(self) -> tuple[bytes, bytes]:
        """The client's and the server's SRTP key with salt (RFC 5764 section 4.2, AES-128-GCM)."""
        material = self.connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (16 + 12), None)
        return material[:16] + material[32:44], material[16:32] + material[44:56]
