"""What can go wrong with a media server: its error replies by code; servers that are lost or not there."""

from __future__ import annotations

from typing import ClassVar

from roomfsm.jsonrpc import ErrorObject


class MediaServerError(Exception):
    """Base of everything that this package raises about a media server."""


class MediaServerLost(MediaServerError):
    """The session that owned the object is gone for good, and with it everything that was made in it.

    `url` is the media server's address.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


class MediaServerUnavailable(MediaServerError):
    """No media server became ready in time."""


class MediaServersFull(MediaServerUnavailable):
    """Every media server that is ready refused for want of threads or file descriptors."""


class RequestTimedOut(MediaServerError):
    """The media server did not answer in time; whether it carried the request out is unknown."""

    def __init__(self, url: str, method: str, seconds: float) -> None:
        super().__init__(f"{url}: no answer to {method} in {seconds:g} s")
        self.url = url
        self.method = method


class ConnectionLost(MediaServerError):
    """The websocket could not be opened, was closed or fell silent. The session may survive it."""


class ConnectionRefused(ConnectionLost):
    """Nobody listens at the address: the process that was there has ended, and its sessions with it."""


class ConnectionSilent(ConnectionLost):
    """Nothing came for too long: the media server hangs, or what is between drops everything."""


class UnknownEvent(Exception):
    """An event of a type that this client does not know, or of an unexpected shape."""


class EventOverflow(MediaServerError):
    """Events of one endpoint came faster than they were read, and what is unread cannot be merged."""


class KurentoError(MediaServerError):
    """An error reply of the media server.

    `code` is the JSON-RPC error code, `type` Kurento's name for it (`error.data.type`; None with the
    codes -32xxx of JSON-RPC itself). The subclasses are the codes that callers act on.
    """

    CODE: ClassVar[int] = 0
    """The code of a subclass."""

    def __init__(self, code: int, message: str, type: str | None = None) -> None:  # noqa: A002 (Kurento's name)
        super().__init__(f"{message} ({code}{' ' + type if type else ''})")
        self.code = code
        self.message = message
        self.type = type


class BadArgument(KurentoError):
    """An argument is missing or of the wrong type, or not of the enumeration."""

    CODE = 40001


class ConnectRefused(KurentoError):
    """Two media elements cannot be connected: they are not of one pipeline."""

    CODE = 40004


class SessionInvalid(KurentoError):
    """The media server does not know the session (any more)."""

    CODE = 40007


class UnknownOperation(KurentoError):
    """The object has no such operation, or not with so many parameters."""

    CODE = 40008


class ResourcesExhausted(KurentoError):
    """The media server is at its limit of threads or file descriptors."""

    CODE = 40009


class ObjectGone(KurentoError):
    """The object is unknown: never made, or released."""

    CODE = 40101


class EventUnsupported(KurentoError):
    """The object has no event of that type."""

    CODE = 40106


class TypeUnknown(KurentoError):
    """The media server cannot create objects of that type."""

    CODE = 40108


class TagUnknown(KurentoError):
    """The object has no tag of that key."""

    CODE = 40110


class KeyframeRefused(KurentoError):
    """No keyframe can be asked for at this endpoint: no video has reached it yet."""

    CODE = 40111


class SdpInvalid(KurentoError):
    """The session description is empty or cannot be read."""

    CODE = 40201


class OfferRefused(KurentoError):
    """The session description can be read and not served: for want of a codec in common, as a rule."""

    CODE = 40205


class AlreadyNegotiated(KurentoError):
    """The endpoint has had its offer: a new negotiation needs a new endpoint."""

    CODE = 40208


class CandidateRefused(KurentoError):
    """The candidate's media line is not of the session description."""

    CODE = 40401


_BY_CODE: dict[int, type[KurentoError]] = {subclass.CODE: subclass for subclass in KurentoError.__subclasses__()}


def from_reply(error: ErrorObject) -> KurentoError:
    """The typed error of an error reply."""
    name = error.data.get("type") if isinstance(error.data, dict) else None
    return _BY_CODE.get(error.code, KurentoError)(error.code, error.message, name)
