"""Sends and receives the alerts of an established DTLS 1.2 association (RFC 6347) without OpenSSL's connection
object.

This code exists because OpenSSL cannot release the memory of the handshake, about 77 kB for each browser. After
the handshake, DTLS-SRTP needs DTLS only to report the end of the association.
"""

import hmac
import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from OpenSSL import SSL

WARNING, FATAL = 1, 2
CLOSE_NOTIFY = 0
_ALERT = 21
_DTLS_1_2 = 0xFEFD
_EPOCH = 1
"""The epoch of all records after the first handshake. There is no second handshake."""
_FIRST_NUMBER = 1 << 24
"""The number of our first record. A receiver needs it to be higher than the numbers that OpenSSL has used. It is
far below about 2**34, where Firefox's NSS refuses to use an AES-GCM key any longer."""
_HEADER = struct.Struct("!BHQH")
"""The record header: content type, version, epoch and sequence number together, length."""
_TAG = 16
_NONCE = 12
_BODY = 2
"""The bytes of an alert: its level and description."""


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Suite:
    hash: str
    """The hash of the pseudorandom function (RFC 5246 section 5)."""
    key: int
    """The length of the key in bytes. The length of the salt is in bytes, too."""
    salt: int
    """The length of the nonce's constant part. With AES-GCM, the rest is sent in the record (RFC 5288). With
    ChaCha20-Poly1305 there is no rest, and the constant part is combined with the record number (RFC 7905)."""
    aead: Callable[[bytes], _Aead]

    @property
    def explicit(self) -> int:
        """The bytes of the nonce that are sent in each record."""
        return _NONCE - self.salt


_SUITES = {
    "AES128-GCM-SHA256": _Suite("sha256", 16, 4, AESGCM),
    "AES256-GCM-SHA384": _Suite("sha384", 32, 4, AESGCM),
    "CHACHA20-POLY1305": _Suite("sha256", 32, 12, ChaCha20Poly1305),
}
"""The suites, by the end of OpenSSL's name for them."""


@dataclass(frozen=True, slots=True)
class _Direction:
    suite: _Suite
    key: bytes
    salt: bytes

    def protect(self, number: int, plain: bytes) -> bytes:
        """Encrypt the content of a record."""
        # The explicit nonce is random. OpenSSL counts its own from a random value on, which is not known here, so
        # the two will practically never be equal.
        explicit = secrets.token_bytes(self.suite.explicit)
        aead = self.suite.aead(self.key)
        sealed = aead.encrypt(self._nonce(number, explicit), plain, _associated(number, len(plain)))
        fragment = explicit + sealed
        return _HEADER.pack(_ALERT, _DTLS_1_2, number, len(fragment)) + fragment

    def unprotect(self, number: int, fragment: bytes) -> bytes:
        """Decrypt the content of a record. Raises `InvalidTag`."""
        explicit, sealed = fragment[: self.suite.explicit], fragment[self.suite.explicit :]
        aead = self.suite.aead(self.key)
        return aead.decrypt(self._nonce(number, explicit), sealed, _associated(number, len(sealed) - _TAG))

    def _nonce(self, number: int, explicit: bytes) -> bytes:
        if explicit:
            return self.salt + explicit
        return (int.from_bytes(self.salt) ^ number).to_bytes(_NONCE)


class AlertChannel:
    """Encrypts and decrypts alerts after the handshake."""

    __slots__ = ("_number", "_ours", "_theirs")

    def __init__(self, ours: _Direction, theirs: _Direction) -> None:
        self._ours = ours
        self._theirs = theirs
        self._number = _FIRST_NUMBER

    @classmethod
    def of(cls, connection: SSL.Connection, *, client: bool) -> Self | None:
        """Create the channel for a connection; None if it uses another cipher or version than this code knows.

        `client` says whether we are the client of the connection.
        """
        name = connection.get_cipher_name() or ""
        suite = next((suite for ending, suite in _SUITES.items() if name.endswith(ending)), None)
        master = connection.master_key()
        of_client, of_server = connection.client_random(), connection.server_random()
        if suite is None or connection.get_protocol_version() != _DTLS_1_2:
            return None
        if not master or not of_client or not of_server:
            return None
        # The key block (RFC 5246 section 6.3) has the client's and the server's key, and then their salts.
        key, salt = suite.key, suite.salt
        block = _pseudorandom(suite.hash, master, b"key expansion" + of_server + of_client, 2 * (key + salt))
        from_client = _Direction(suite, block[:key], block[2 * key : 2 * key + salt])
        from_server = _Direction(suite, block[key : 2 * key], block[2 * key + salt :])
        return cls(from_client, from_server) if client else cls(from_server, from_client)

    def tell(self, level: int, description: int) -> bytes:
        """Return a datagram with an alert."""
        number, self._number = self._number, self._number + 1
        return self._ours.protect(_EPOCH << 48 | number, bytes((level, description)))

    def hear(self, datagram: bytes) -> Iterator[tuple[int, int]]:
        """Return the level and description (RFC 5246 section 7.2) of each authentic alert.

        Handshake records are ignored. The first alert that is not authentic ends the search, because each alert
        costs a decryption.
        """
        length = self._theirs.suite.explicit + _BODY + _TAG
        for kind, version, number, fragment in _records(datagram):
            if kind == _ALERT and version == _DTLS_1_2 and number >> 48 == _EPOCH and len(fragment) == length:
                try:
                    level, description = self._theirs.unprotect(number, fragment)
                except InvalidTag:
                    return
                yield level, description


def _records(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The content type, version, number and fragment of each whole record (RFC 6347 section 4.1)."""
    begin = 0
    while begin + _HEADER.size <= len(datagram):
        kind, version, number, length = _HEADER.unpack_from(datagram, begin)
        begin += _HEADER.size
        if begin + length > len(datagram):
            return
        yield kind, version, number, datagram[begin : begin + length]
        begin += length


def _associated(number: int, length: int) -> bytes:
    """The additional data that the tag covers besides the alert (RFC 6347 section 4.1.2.1)."""
    return struct.pack("!QBHH", number, _ALERT, _DTLS_1_2, length)


def _pseudorandom(hash_name: str, secret: bytes, seed: bytes, size: int) -> bytes:
    """The function P_hash (RFC 5246 section 5)."""
    output, link = b"", seed
    while len(output) < size:
        link = hmac.digest(secret, link, hash_name)
        output += hmac.digest(secret, link + seed, hash_name)
    return output[:size]
