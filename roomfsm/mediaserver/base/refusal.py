"""Reasons for refusing received datagrams."""

from enum import Enum


class Refusal(Enum):
    """Why a received datagram, or a part of it, was refused."""

    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_ADDRESS = "unknown_address"
    STUN_MALFORMED = "stun_malformed"
    STUN_UNKNOWN_USER = "stun_unknown_user"
    STUN_UNAUTHENTICATED = "stun_unauthenticated"
    STUN_ROLE_CONFLICT = "stun_role_conflict"
    STUN_TOO_SHORT = "stun_too_short"
    """The answer would be longer than the request."""
    STUN_ADDRESS_TAKEN = "stun_address_taken"
    """The address belongs to another peer whose media come from it."""
    DTLS_ERROR = "dtls_error"
    DTLS_UNEXPECTED = "dtls_unexpected"
    SRTP_NOT_READY = "srtp_not_ready"
    SRTP_UNAUTHENTICATED = "srtp_unauthenticated"
    RTP_MALFORMED = "rtp_malformed"
    RTP_UNKNOWN_PAYLOAD = "rtp_unknown_payload"
    RTP_TOO_OLD = "rtp_too_old"
    RTP_DUPLICATE = "rtp_duplicate"
    """The packet had already come as a retransmission in a stream of its own."""
    RTP_SECOND_STREAM = "rtp_second_stream"
    RTP_UNKNOWN_LAYER = "rtp_unknown_layer"
    """The packet does not say to which simulcast layer it belongs."""
    RTCP_MALFORMED = "rtcp_malformed"
    SEND_FAILED = "send_failed"
