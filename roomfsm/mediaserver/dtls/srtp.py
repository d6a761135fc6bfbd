"""SRTP sessions (RFC 3711, RFC 7714) with libsrtp.

Packets are protected and unprotected in place, because that is faster.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pylibsrtp
from pylibsrtp import Policy, Session

# Protecting a packet in place saves two copies and an allocation, which is half the cost of `Session.protect`. The
# package has no public function for it. The canary test is in tests/mediaserver/dtls/test_srtp.py.
from pylibsrtp._binding import ffi, lib

_REPLAY_WINDOW = 1024
MAX_SSRCS = 32
"""The most SSRCs that are accepted from one peer, because libsrtp keeps a state for each and searches all of them
for each packet."""
MAX_PACKET = 1500
"""The most bytes of an SRTP packet that libsrtp's binding accepts."""


class SrtpError(Exception):
    """A packet is refused because it is not authentic, replayed, malformed or too long, or because it has one SSRC
    too many.
    """


@dataclass(frozen=True, slots=True)
class SrtpProfile:
    """A protection profile of RFC 5764 section 4.1.2 or RFC 7714 section 14.2. Lengths are in bytes."""

    libsrtp: int
    key_length: int
    salt_length: int
    tag_length: int
    """The bytes that protection adds to an RTP packet."""


PROFILES: dict[bytes, SrtpProfile] = {
    b"SRTP_AEAD_AES_128_GCM": SrtpProfile(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12, 16),
    b"SRTP_AES128_CM_SHA1_80": SrtpProfile(Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14, 10),
}
"""The profiles by OpenSSL's names, the best first."""


class SrtpKeys(NamedTuple):
    """The profile and keys that DTLS-SRTP agreed on. Each key is the master key followed by the master salt."""

    profile: SrtpProfile
    client: bytes
    server: bytes


def _session(profile: SrtpProfile, key: bytes, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction, srtp_profile=profile.libsrtp)
    policy.window_size = _REPLAY_WINDOW
    policy.allow_repeat_tx = True
    return Session(policy)


class SrtpReceiver:
    """Unprotects the packets of one peer. Each method raises :class:`SrtpError`."""

    __slots__ = ("_handle", "_session", "_ssrcs")

    def __init__(self, profile: SrtpProfile, key: bytes) -> None:
        self._session = _session(profile, key, Policy.SSRC_ANY_INBOUND)
        self._handle: Any = self._session._srtp[0]
        self._ssrcs: set[bytes] = set()
        """The SSRCs of authentic packets. libsrtp keeps a state for each of them."""

    @property
    def heard(self) -> bool:
        """Whether any authentic packet has come."""
        return bool(self._ssrcs)

    def unprotect(self, packet: bytes) -> bytes:
        ssrc, size = packet[8:12], len(packet)
        if ssrc not in self._ssrcs:
            return self._unprotect(self._session.unprotect, packet, ssrc)
        if size > MAX_PACKET:
            raise SrtpError("the packet is too long")
        # `Session.unprotect` does the same, but makes several objects for each packet.
        memory, length = _received.memory, _received.length
        length[0] = size
        copy(memory, packet, size)
        if error := lib.srtp_unprotect(self._handle, memory, length):
            raise SrtpError(f"libsrtp's error {error}")
        return bytes(_received.view[: length[0]])

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        return self._unprotect(self._session.unprotect_rtcp, packet, packet[4:8])

    def _unprotect(self, unprotect: Callable[[bytes], bytes], packet: bytes, ssrc: bytes) -> bytes:
        known = ssrc in self._ssrcs
        if not known and len(self._ssrcs) >= MAX_SSRCS:
            raise SrtpError(f"more than {MAX_SSRCS} SSRCs")
        try:
            plain = unprotect(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(str(error)) from error
        if not known:
            self._ssrcs.add(ssrc)
        return plain


class SrtpSender:
    """Protects packets to one peer. `handle` is for :data:`protect`."""

    __slots__ = ("_session", "handle", "tag_length")

    def __init__(self, profile: SrtpProfile, key: bytes) -> None:
        self._session = _session(profile, key, Policy.SSRC_ANY_OUTBOUND)
        self.handle: Any = self._session._srtp[0]
        self.tag_length = profile.tag_length

    def protect_rtcp(self, packet: bytes) -> bytes:
        try:
            return self._session.protect_rtcp(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(str(error)) from error


class PacketBuffer:
    """Memory in which packets are protected in place, and from which the socket sends them."""

    def __init__(self, size: int) -> None:
        self.memory: Any = ffi.new("char[]", size)
        self.view = memoryview(ffi.buffer(self.memory))
        self.address = int(ffi.cast("uintptr_t", self.memory))
        self.length: Any = ffi.new("int *")
        """For :data:`protect`: the packet's length before the call, and the protected packet's length after it."""


protect: Any = lib.srtp_protect
"""protect(handle, pointer, length pointer) → 0, or libsrtp's error number."""
copy: Any = ffi.memmove
"""copy(destination, source, size)."""
_received = PacketBuffer(MAX_PACKET)
"""Memory in which received packets are decrypted in place."""
