"""A DTLS-SRTP client without a socket: datagrams in, datagrams out."""

from __future__ import annotations

from OpenSSL import SSL

from tests.mediaserver.peer import dtls_identity

_PROFILES = (b"SRTP_AEAD_AES_128_GCM",)


class DtlsClient:
    """Begins the handshake when it is made."""

    def __init__(self) -> None:
        context, self.digest = dtls_identity(b":".join(_PROFILES), True)
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
