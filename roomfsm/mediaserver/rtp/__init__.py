"""RTP and RTCP packets (RFC 3550, 4585, 4588, 8285)."""
