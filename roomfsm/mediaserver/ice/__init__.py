"""ICE-lite (RFC 8445) and STUN (RFC 8489)."""
