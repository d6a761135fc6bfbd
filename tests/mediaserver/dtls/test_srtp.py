"""SRTP: both profiles, replay, and the canary for protection in place."""

import os
import struct

import pytest

from roomfsm.mediaserver.dtls import srtp

PROFILES = pytest.mark.parametrize("profile", srtp.PROFILES.values(), ids=[str(name) for name in srtp.PROFILES])
PACKET = struct.pack("!BBHII", 0x80, 96, 1000, 90000, 1234) + b"payload"
RTCP = b"\x80\xc9\x00\x01" + bytes(4)


def pair(profile: srtp.SrtpProfile) -> tuple[srtp.SrtpSender, srtp.SrtpReceiver]:
    key = os.urandom(profile.key_length + profile.salt_length)
    return srtp.SrtpSender(profile, key), srtp.SrtpReceiver(profile, key)


def protect(sender: srtp.SrtpSender, packet: bytes) -> bytes:
    """As the burst sender does it."""
    buffer = srtp.PacketBuffer(2048)
    srtp.copy(buffer.memory, packet, len(packet))
    buffer.length[0] = len(packet)
    assert srtp.protect(sender.handle, buffer.memory, buffer.length) == 0
    return bytes(buffer.view[: buffer.length[0]])


@PROFILES
def test_a_packet_encrypted_in_place_can_be_decrypted(profile: srtp.SrtpProfile) -> None:
    sender, receiver = pair(profile)
    protected = protect(sender, PACKET)
    assert len(protected) == len(PACKET) + profile.tag_length
    assert PACKET[12:] not in protected
    assert receiver.unprotect(protected) == PACKET


@PROFILES
def test_a_retransmission_is_the_same_packet_again(profile: srtp.SrtpProfile) -> None:
    sender, _ = pair(profile)
    assert protect(sender, PACKET) == protect(sender, PACKET)


@PROFILES
def test_a_changed_replayed_or_too_long_packet_is_refused(profile: srtp.SrtpProfile) -> None:
    sender, receiver = pair(profile)
    protected = protect(sender, PACKET)
    with pytest.raises(srtp.SrtpError):
        receiver.unprotect(protected[:-1] + bytes((protected[-1] ^ 1,)))
    receiver.unprotect(protected)
    with pytest.raises(srtp.SrtpError):
        receiver.unprotect(protected)
    with pytest.raises(srtp.SrtpError):
        receiver.unprotect(protected + bytes(srtp.MAX_PACKET))


@PROFILES
def test_rtcp_is_encrypted_and_decrypted(profile: srtp.SrtpProfile) -> None:
    sender, receiver = pair(profile)
    protected = sender.protect_rtcp(RTCP)
    assert receiver.unprotect_rtcp(protected) == RTCP
    with pytest.raises(srtp.SrtpError):
        receiver.unprotect_rtcp(b"\x80\xc9" + bytes(30))
