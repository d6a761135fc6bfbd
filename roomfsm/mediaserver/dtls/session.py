"""DTLS-SRTP (RFC 5763, RFC 5764) in either role.

It takes and returns datagrams, and uses pyOpenSSL with memory BIOs.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from roomfsm.mediaserver.dtls.alerts import CLOSE_NOTIFY, FATAL, WARNING, AlertChannel
from roomfsm.mediaserver.dtls.srtp import PROFILES, SrtpKeys, SrtpProfile
from roomfsm.mediaserver.dtls.state import DtlsState

_DTLS_1_2 = 0xFEFD
_MTU = 1200
_RECORD_HEADER = 13
MAX_HANDSHAKE = 64 * 1024
"""The most bytes that a peer may send before it is connected, including repetitions, because OpenSSL keeps
incomplete messages."""
_EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
_CERTIFICATE_LIFE = timedelta(days=3650)
HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha-224": hashes.SHA224(),
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}
"""The hash functions for fingerprints (RFC 8122 section 5) that we accept. SHA-1 and MD5 are broken, so they are
missing."""


class DtlsError(Exception):
    """The handshake failed or the connection broke. The session cannot be used any more."""


def _accept_any(
    _connection: SSL.Connection, _certificate: Any, _error: int, _depth: int, _preverified: int
) -> bool:
    """Accept any certificate.

    Browsers' certificates are self-signed, and the fingerprint in the offer is checked instead.
    """
    return True


class DtlsIdentity:
    """One self-signed certificate and one OpenSSL context, for all peers of an engine."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, secrets.token_hex(8))])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + _CERTIFICATE_LIFE)
            .sign(key, hashes.SHA256())
        )
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _accept_any)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES")
        context.set_tlsext_use_srtp(b":".join(PROFILES))
        self._context = context
        digest = certificate.fingerprint(hashes.SHA256())
        self.fingerprint = "sha-256 " + digest.hex(":").upper()
        """The fingerprint in the form of the `a=fingerprint` attribute."""

    def connection(self, *, client: bool) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(_MTU)
        if client:
            connection.set_connect_state()
        else:
            connection.set_accept_state()
        return connection


class DtlsSession:
    """The DTLS association with one peer.

    Each method returns the datagrams to send. They have at most 1200 bytes, and whole records.
    """

    __slots__ = ("_alerts", "_connection", "_fingerprints", "_handshake", "client", "keys", "state")

    def __init__(
        self, identity: DtlsIdentity, fingerprints: Sequence[tuple[str, bytes]], *, client: bool = False
    ) -> None:
        """`fingerprints` are those of the peer's description, as pairs of the name of a hash function in
        :data:`HASHES` and the digest. `client` says whether we begin the handshake, with :meth:`begin`.
        """
        self._connection: SSL.Connection | None = identity.connection(client=client)
        self._alerts: AlertChannel | None = None
        """Replaces the connection after :meth:`settle`."""
        self.client = client
        self._fingerprints = fingerprints
        self._handshake = 0
        self.state = DtlsState.NEW
        self.keys: SrtpKeys | None = None
        """The keys of the SRTP session; None until `state` is CONNECTED."""

    def begin(self) -> list[bytes]:
        """The client's first message. Further calls return nothing."""
        connection = self._connection
        if not self.client or connection is None or self.state is not DtlsState.NEW:
            return []
        self.state = DtlsState.CONNECTING
        with suppress(SSL.WantReadError):
            connection.do_handshake()
        return self._outgoing()

    def receive(self, datagram: bytes) -> list[bytes]:
        """Handle one datagram. Raises :class:`DtlsError` once, if the datagram ends the session."""
        if self.state in (DtlsState.CLOSED, DtlsState.FAILED):
            return []
        connection = self._connection
        if connection is None:
            self._receive_alerts(datagram)
            return []
        if self.keys is None:
            self._handshake += len(datagram)
            if self._handshake > MAX_HANDSHAKE:
                self._fail("the handshake is too long")
        connection.bio_write(datagram)
        try:
            if self.keys is None:
                self.state = DtlsState.CONNECTING
                connection.do_handshake()
                self.keys = self._verified_keys(connection)
                self.state = DtlsState.CONNECTED
            while True:
                # Application data is not used, but reading also answers repeated handshake messages.
                connection.recv(2048)
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.state = DtlsState.CLOSED
        except SSL.Error as error:
            self.state = DtlsState.FAILED
            raise DtlsError(str(error)) from error
        return self._outgoing()

    def _receive_alerts(self, datagram: bytes) -> None:
        assert self._alerts is not None
        for level, description in self._alerts.hear(datagram):
            if description == CLOSE_NOTIFY:
                self.state = DtlsState.CLOSED
                return
            if level == FATAL:
                self._fail(f"the peer ended the association by alert {description}")

    def settle(self) -> bool:
        """Release everything that only the handshake needed, which is most of a peer's memory.

        Returns whether that was done. Call this when the peer certainly has our last flight, because repeated
        handshake messages are ignored from now on. Nothing is done if the session is not connected, or if
        :class:`AlertChannel` does not know the cipher.
        """
        if self._connection is None or self.state is not DtlsState.CONNECTED:
            return False
        self._alerts = AlertChannel.of(self._connection, client=self.client)
        if self._alerts is None:
            return False
        self._connection = None
        return True

    def _verified_keys(self, connection: SSL.Connection) -> SrtpKeys:
        certificate = connection.get_peer_certificate()
        if certificate is None:
            self._fail("the peer sent no certificate")
        # OpenSSL converts the certificate, because cryptography raises an error for some that OpenSSL accepts
        # (X.509 version 2).
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        # A peer may have several certificates, and several fingerprints for each (RFC 8122 section 5).
        digests = {function: _digest(HASHES[function], der) for function, _ in self._fingerprints}
        if not any(digests[function] == digest for function, digest in self._fingerprints):
            shown = ", ".join(f"{function} {digest.hex(':').upper()}" for function, digest in digests.items())
            self._fail(f"the peer's certificate ({shown}) has none of the fingerprints in its description")
        profile = PROFILES.get(connection.get_selected_srtp_profile())
        if profile is None:
            self._fail("no common SRTP profile")
        return _exported(connection, profile)

    def _fail(self, reason: str) -> NoReturn:
        self.state = DtlsState.FAILED
        raise DtlsError(reason)

    def timeout(self) -> float | None:
        """Seconds until :meth:`handle_timeout` must be called; None if it need not be called."""
        if self._connection is None or self.state is not DtlsState.CONNECTING:
            return None
        return self._connection.DTLSv1_get_timeout()

    def handle_timeout(self) -> list[bytes]:
        """Repeat messages that the peer has not answered. Raises :class:`DtlsError` after too many repetitions."""
        if self._connection is None:
            return []
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self.state = DtlsState.FAILED
            raise DtlsError("the handshake timed out") from error
        return self._outgoing()

    def give_up(self) -> list[bytes]:
        """End a handshake that takes too long."""
        self.state = DtlsState.FAILED
        return self._outgoing()

    def close(self) -> list[bytes]:
        """Return close_notify, if there is an association."""
        if self.state is not DtlsState.CONNECTED:
            return []
        self.state = DtlsState.CLOSED
        if self._connection is None:
            return [] if self._alerts is None else [self._alerts.tell(WARNING, CLOSE_NOTIFY)]
        try:
            self._connection.shutdown()
        except SSL.Error:
            return []
        return self._outgoing()

    def alert(self) -> list[bytes]:
        """The datagrams that are left to send after a :class:`DtlsError`: the fatal alert, if there is one."""
        return self._outgoing()

    def _outgoing(self) -> list[bytes]:
        connection, chunks = self._connection, list[bytes]()
        if connection is None:
            return []
        while True:
            try:
                chunks.append(connection.bio_read(65536))
            except SSL.WantReadError:
                return list(_datagrams(b"".join(chunks)))


def _digest(function: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(function)
    digest.update(data)
    return digest.finalize()


def _datagrams(records: bytes) -> Iterator[bytes]:
    """Cut a run of DTLS records (RFC 6347 section 4.1) into datagrams."""
    start = end = 0
    while end < len(records):
        following = end + _RECORD_HEADER + int.from_bytes(records[end + 11 : end + 13])
        if following - start > _MTU and end > start:
            yield records[start:end]
            start = end
        end = following
    if end > start:
        yield records[start:end]


def _exported(connection: SSL.Connection, profile: SrtpProfile) -> SrtpKeys:
    """Export the keys: client key, server key, client salt, server salt (RFC 5764 section 4.2)."""
    key, salt = profile.key_length, profile.salt_length
    material = connection.export_keying_material(_EXPORTER_LABEL, 2 * (key + salt), None)
    client_salt, server_salt = material[2 * key : 2 * key + salt], material[2 * key + salt :]
    return SrtpKeys(profile, material[:key] + client_salt, material[key : 2 * key] + server_salt)
