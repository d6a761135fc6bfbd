"""The states of a DTLS association."""

from enum import StrEnum


class DtlsState(StrEnum):
    """Kurento's DtlsConnectionState."""

    NEW = "NEW"
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    CLOSED = "CLOSED"
    FAILED = "FAILED"
