"""Errors about media servers: error replies by their codes, and media servers that are lost or cannot be
reached.
"""

from __future__ import annotations

from typing import ClassVar

from roomfsm.jsonrpc import ErrorObject


class MediaServerError(Exception):
    """Base class of all errors that this package raises about a media server."""


class MediaServerLost(MediaServerError):
    """The session that owned the object has ended for good, and everything that was created in it is gone.

    `url` is the media server's address.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


class MediaServerUnavailable(MediaServerError):
    """No media server became ready in time."""


class MediaServersFull(MediaServerUnavailable):
    """Every media server that is ready refused because it has no threads or file descriptors left."""


class RequestTimedOut(MediaServerError):
    """The media server did not answer in time. It is not known whether it carried the request out."""

    def __init__(self, url: str, method: str, seconds: float) -> None:
        super().__init__(f"{url}: no answer to {method} in {seconds:g} s")
        self.url = url
        self.method = method


class ConnectionLost(MediaServerError):
    """The websocket could not be opened, was closed, or went silent. The session may still be resumed."""


class ConnectionRefused(ConnectionLost):
    """No process listens at the address, so the media server's process has ended, and its sessions with it."""


class ConnectionSilent(ConnectionLost):
    """Nothing was received for too long: the media server hangs, or the network loses everything."""


class UnknownEvent(Exception):
    """An event of a type that this client does not know, or of an unexpected shape."""


class EventOverflow(MediaServerError):
    """Events of one endpoint came faster than they were read, and the unread ones cannot be merged."""


class KurentoError(MediaServerError):
    """An error reply of the media server.

    `code` is the JSON-RPC error code, `type` Kurento's name for it (`error.data.type`; None with the codes -32xxx
    of JSON-RPC itself). There is a subclass for each code that callers act on.
    """

    CODE: ClassVar[int] = 0
    """The code of a subclass."""

    def __init__(self, code: int, message: str, type: str | None = None) -> None:  # noqa: A002 (Kurento's name)
        super().__init__(f"{message} ({code}{' ' + type if type else ''})")
        self.code = code
        self.message = message
        self.type = type


class BadArgument(KurentoError):
    """An argument is missing, has the wrong type, or is not a value of the enumeration."""

    CODE = 40001


class ConnectRefused(KurentoError):
    """Two media elements cannot be connected, because they belong to different pipelines."""

    CODE = 40004


class SessionInvalid(KurentoError):
    """The media server does not know the session, or no longer knows it."""

    CODE = 40007


class UnknownOperation(KurentoError):
    """The object has no operation of that name, or the operation does not take so many parameters."""

    CODE = 40008


class ResourcesExhausted(KurentoError):
    """The media server has reached its limit of threads or file descriptors."""

    CODE = 40009


class ObjectGone(KurentoError):
    """The object does not exist: it was never created, or has been released."""

    CODE = 40101


class EventUnsupported(KurentoError):
    """The object has no event of that type."""

    CODE = 40106


class TypeUnknown(KurentoError):
    """The media server cannot create objects of that type."""

    CODE = 40108


class TagUnknown(KurentoError):
    """The object has no tag with that key."""

    CODE = 40110


class KeyframeRefused(KurentoError):
    """No keyframe can be requested at this endpoint, because no video has reached it yet."""

    CODE = 40111


class SdpInvalid(KurentoError):
    """The session description is empty or cannot be read."""

    CODE = 40201


class OfferRefused(KurentoError):
    """The session description is readable but cannot be accepted, usually because the two sides have no codec in
    common.
    """

    CODE = 40205


class AlreadyNegotiated(KurentoError):
    """The endpoint has already been given an offer. A new negotiation needs a new endpoint."""

    CODE = 40208


class CandidateRefused(KurentoError):
    """The session description does not have the candidate's m-line."""

    CODE = 40401


_BY_CODE: dict[int, type[KurentoError]] = {subclass.CODE: subclass for subclass in KurentoError.__subclasses__()}


def from_reply(error: ErrorObject) -> KurentoError:
    """The error for an error reply: the subclass for its code, or else a plain `KurentoError`."""
    name = error.data.get("type") if isinstance(error.data, dict) else None
    return _BY_CODE.get(error.code, KurentoError)(error.code, error.message, name)
