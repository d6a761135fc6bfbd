"""The errors of RTCP's readers."""


class RtcpError(ValueError):
    """The bytes are not an RTCP compound packet."""
