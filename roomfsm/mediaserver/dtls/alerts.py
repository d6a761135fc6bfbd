"""The alerts of an established DTLS 1.2 association (RFC 6347), told and heard without OpenSSL's object for it.

Written here because OpenSSL has no way to let go of what a handshake needed, some 77 kB for each browser, while
all that DTLS-SRTP still wants of DTLS is to tell the end and to hear of it.
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
"""The epoch of all records that follow the first handshake; there is no second one."""
_FIRST_NUMBER = 1 << 24
"""The number of our first record: above all that OpenSSL has sent, as a receiver wants it, and far below the 2**34
or so at which Firefox's NSS finds an AES-GCM key worn out."""
_HEADER = struct.Struct("!BHQH")
"""Content type, version, epoch and sequence number together, length."""
_TAG = 16
_NONCE = 12
_BODY = 2
"""Bytes of an alert: its level and description."""


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Suite:
    hash: str
    """The hash of the pseudorandom function (RFC 5246 section 5)."""
    key: int
    """The length of the key in bytes; the next field is a length in bytes, too."""
    salt: int
    """The nonce's constant part: of AES-GCM the rest is sent along (RFC 5288); of ChaCha20-Poly1305 there is no
    rest, and it is mixed with the number (RFC 7905)."""
    aead: Callable[[bytes], _Aead]

    @property
    def explicit(self) -> int:
        """Bytes of the nonce that are sent along."""
        return _NONCE - self.salt


_SUITES = {
    "AES128-GCM-SHA256": _Suite("sha256", 16, 4, AESGCM),
    "AES256-GCM-SHA384": _Suite("sha384", 32, 4, AESGCM),
    "CHACHA20-POLY1305": _Suite("sha256", 32, 12, ChaCha20Poly1305),
}
"""By the end of OpenSSL's name for a cipher suite."""


@dataclass(frozen=True, slots=True)
class _Direction:
    suite: _Suite
    key: bytes
    salt: bytes

    def protect(self, number: int, plain: bytes) -> bytes:
        """A record."""
        # OpenSSL counts its own from a random one on, which is not known here: theirs and this one never meet.
        explicit = secrets.token_bytes(self.suite.explicit)
        aead = self.suite.aead(self.key)
        sealed = aead.encrypt(self._nonce(number, explicit), plain, _associated(number, len(plain)))
        fragment = explicit + sealed
        return _HEADER.pack(_ALERT, _DTLS_1_2, number, len(fragment)) + fragment

    def unprotect(self, number: int, fragment: bytes) -> bytes:
        """Raises InvalidTag."""
        explicit, sealed = fragment[: self.suite.explicit], fragment[self.suite.explicit :]
        aead = self.suite.aead(self.key)
        return aead.decrypt(self._nonce(number, explicit), sealed, _associated(number, len(sealed) - _TAG))

    def _nonce(self, number: int, explicit: bytes) -> bytes:
        if explicit:
            return self.salt + explicit
        return (int.from_bytes(self.salt) ^ number).to_bytes(_NONCE)


class AlertChannel:
    """What two ends that have shaken hands can still tell each other."""

    __slots__ = ("_number", "_ours", "_theirs")

    def __init__(self, ours: _Direction, theirs: _Direction) -> None:
        self._ours = ours
        self._theirs = theirs
        self._number = _FIRST_NUMBER

    @classmethod
    def of(cls, connection: SSL.Connection, *, client: bool) -> Self | None:
        """That of a connection of which we are the client or the server; None if it uses other ciphers or another
        version than are known here."""
        name = connection.get_cipher_name() or ""
        suite = next((suite for ending, suite in _SUITES.items() if name.endswith(ending)), None)
        master = connection.master_key()
        of_client, of_server = connection.client_random(), connection.server_random()
        if suite is None or connection.get_protocol_version() != _DTLS_1_2:
            return None
        if not master or not of_client or not of_server:
            return None
        # Key block (RFC 5246 section 6.3): the client's and the server's key, then their salts.
        key, salt = suite.key, suite.salt
        block = _pseudorandom(suite.hash, master, b"key expansion" + of_server + of_client, 2 * (key + salt))
        from_client = _Direction(suite, block[:key], block[2 * key : 2 * key + salt])
        from_server = _Direction(suite, block[key : 2 * key], block[2 * key + salt :])
        return cls(from_client, from_server) if client else cls(from_server, from_client)

    def tell(self, level: int, description: int) -> bytes:
        """The datagram with an alert."""
        number, self._number = self._number, self._number + 1
        return self._ours.protect(_EPOCH << 48 | number, bytes((level, description)))

    def hear(self, datagram: bytes) -> Iterator[tuple[int, int]]:
        """Level and description (RFC 5246 section 7.2) of each authentic alert.

        Handshake records are passed over. The first alert that is not authentic is the last that is looked at, for
        each costs a decryption.
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
    """Content type, version, number and fragment of each whole record (RFC 6347 section 4.1)."""
    begin = 0
    while begin + _HEADER.size <= len(datagram):
        kind, version, number, length = _HEADER.unpack_from(datagram, begin)
        begin += _HEADER.size
        if begin + length > len(datagram):
            return
        yield kind, version, number, datagram[begin : begin + length]
        begin += length


def _associated(number: int, length: int) -> bytes:
    """What the tag covers beside the alert (RFC 6347 section 4.1.2.1)."""
    return struct.pack("!QBHH", number, _ALERT, _DTLS_1_2, length)


def _pseudorandom(hash_name: str, secret: bytes, seed: bytes, size: int) -> bytes:
    """P_hash (RFC 5246 section 5)."""
    output, link = b"", seed
    while len(output) < size:
        link = hmac.digest(secret, link, hash_name)
        output += hmac.digest(secret, link + seed, hash_name)
    return output[:size]
