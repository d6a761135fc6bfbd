"""STUN messages (RFC 5389), as far as ICE needs them: reads and writes Binding requests and responses."""

import hmac
import ipaddress
import struct
import zlib
from dataclasses import dataclass

BINDING_REQUEST = 0x0001
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
XOR_MAPPED_ADDRESS = 0x0020
PRIORITY = 0x0024
USE_CANDIDATE = 0x0025
FINGERPRINT = 0x8028
ICE_CONTROLLED = 0x8029
ICE_CONTROLLING = 0x802A

ROLE_CONFLICT = 487

_COOKIE = 0x2112A442
_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE = struct.Struct("!HH")
_FINGERPRINT_XOR = 0x5354554E
_MAX_ATTRIBUTES = 32
"""The most attributes before MESSAGE-INTEGRITY. A browser's check has about seven. The limit is needed because
they are read before the message is authenticated."""


class StunError(ValueError):
    """The bytes are not a STUN message."""


@dataclass(frozen=True, slots=True)
class StunMessage:
    """A parsed message. `attributes` has the first attribute of each type before MESSAGE-INTEGRITY, undecoded."""

    type: int
    transaction_id: bytes
    attributes: dict[int, bytes]
    integrity_offset: int
    """The offset of MESSAGE-INTEGRITY; 0 if there is none."""


def parse(data: bytes) -> StunMessage:
    """Parse a datagram, without authenticating it: see :func:`is_authentic`. Raises :class:`StunError`."""
    size = len(data)
    if size < 20:
        raise StunError("shorter than a header")
    message_type, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if cookie != _COOKIE or length != size - 20 or length & 3:
        raise StunError("bad header")
    attributes: dict[int, bytes] = {}
    offset = 20
    count = 0
    while offset < size:
        count += 1
        if count > _MAX_ATTRIBUTES:
            raise StunError("too many attributes")
        kind, length = _ATTRIBUTE.unpack_from(data, offset)
        end = offset + 4 + length
        if end > size:
            raise StunError("attribute past the end")
        if kind == MESSAGE_INTEGRITY:
            if length != 20:
                raise StunError("MESSAGE-INTEGRITY is not 20 bytes")
            return StunMessage(message_type, transaction_id, attributes, offset)
        attributes.setdefault(kind, data[offset + 4 : end])
        offset = end + (-length & 3)
    return StunMessage(message_type, transaction_id, attributes, 0)


def is_authentic(message: StunMessage, data: bytes, password: bytes) -> bool:
    """Whether the message has a correct MESSAGE-INTEGRITY (RFC 5389 section 15.4)."""
    at = message.integrity_offset
    if not at:
        return False
    return hmac.compare_digest(_integrity(data[:at], password), data[at + 4 : at + 24])


def success(request: StunMessage, address: tuple[str, int], password: bytes) -> bytes:
    """A Binding success response, with the address that the request came from, integrity and fingerprint."""
    ip = ipaddress.ip_address(address[0])
    mask = _COOKIE.to_bytes(4) + request.transaction_id
    packed = bytes(a ^ b for a, b in zip(ip.packed, mask, strict=False))
    family = 1 if ip.version == 4 else 2
    value = struct.pack("!BBH", 0, family, address[1] ^ (_COOKIE >> 16)) + packed
    return _seal(BINDING_SUCCESS, request.transaction_id, _pack(XOR_MAPPED_ADDRESS, value), password)


def failure(request: StunMessage, code: int, reason: str, password: bytes) -> bytes:
    """A Binding error response (RFC 5389 section 15.6)."""
    value = struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()
    return _seal(BINDING_ERROR, request.transaction_id, _pack(ERROR_CODE, value), password)


def check(
    transaction_id: bytes, username: bytes, priority: int, tie_breaker: bytes, password: bytes, *, nominates: bool
) -> bytes:
    """A connectivity check of a controlling agent (RFC 8445 section 7.1): a Binding request, with integrity and
    fingerprint.
    """
    attributes = _pack(USERNAME, username) + _pack(PRIORITY, priority.to_bytes(4))
    attributes += _pack(ICE_CONTROLLING, tie_breaker)
    if nominates:
        attributes += _pack(USE_CANDIDATE, b"")
    return _seal(BINDING_REQUEST, transaction_id, attributes, password)


def mapped_address(response: StunMessage) -> tuple[str, int] | None:
    """The address from which the other side got our request (RFC 5389 section 15.2); None if it does not say."""
    value = response.attributes.get(XOR_MAPPED_ADDRESS, b"")
    if (len(value), value[1:2]) not in ((8, b"\1"), (20, b"\2")):
        return None
    mask = _COOKIE.to_bytes(4) + response.transaction_id
    packed = bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))
    return str(ipaddress.ip_address(packed)), int.from_bytes(value[2:4]) ^ (_COOKIE >> 16)


def _pack(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value + bytes(-len(value) & 3)


def _seal(message_type: int, transaction_id: bytes, attributes: bytes, password: bytes) -> bytes:
    body = _HEADER.pack(message_type, 0, _COOKIE, transaction_id) + attributes
    body += _pack(MESSAGE_INTEGRITY, _integrity(body, password))
    body = _with_length(body, len(body) - 20 + 8)
    return body + _pack(FINGERPRINT, (zlib.crc32(body) ^ _FINGERPRINT_XOR).to_bytes(4))


def _integrity(covered: bytes, password: bytes) -> bytes:
    """The HMAC over everything before MESSAGE-INTEGRITY.

    The length field counts as if the message ended with that attribute.
    """
    return hmac.digest(password, _with_length(covered, len(covered) - 20 + 24), "sha1")


def _with_length(message: bytes, length: int) -> bytes:
    return message[:2] + length.to_bytes(2) + message[4:]
