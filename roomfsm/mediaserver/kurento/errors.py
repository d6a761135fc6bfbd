"""Kurento's error codes as exception types, with the names and messages of the real server."""

from __future__ import annotations

from typing import Any, ClassVar

from roomfsm.jsonrpc import ErrorObject


class ProtocolError(Exception):
    """A request fails with this error. `code` and `type` are Kurento's (`error.data.type`).

    The answer for a class without a `type` has no `error.data`, as with Kurento's codes outside of its own range.
    """

    code: ClassVar[int]
    type: ClassVar[str | None] = None

    def as_error_object(self) -> ErrorObject:
        return ErrorObject(**self.as_members())

    def as_members(self) -> dict[str, Any]:
        """The members of the JSON-RPC error object."""
        members: dict[str, Any] = {"code": self.code, "message": str(self)}
        return members if self.type is None else members | {"data": {"type": self.type}}


class InvalidRequestError(ProtocolError):
    code = -32600

    def __init__(self) -> None:
        super().__init__("Invalid JSON-RPC request.")


class MethodNotFoundError(ProtocolError):
    code = -32601

    def __init__(self) -> None:
        super().__init__("Method not found.")


class ParamsRequiredError(ProtocolError):
    """The request has no `params`, and its socket is not bound to a session."""

    code = -32602
    type = "INVALID_PARAMS"

    def __init__(self) -> None:
        super().__init__("'params' is required")


class UnexpectedError(ProtocolError):
    """The request makes the real server throw an exception: JSON of a wrong shape, or an object of a wrong
    kind.
    """

    code = -32603

    def __init__(self, what: str) -> None:
        super().__init__(f"Unexpected error while processing method: {what}")


class ParameterError(ProtocolError):
    """A member of `params` is missing or has a wrong type."""

    code = -32000


class MarshallError(ProtocolError):
    """An argument of a constructor or an operation is missing or wrong, or is not a value of the enumeration."""

    code = 40001
    type = "MARSHALL_ERROR"


class WorkerDiedError(ProtocolError):
    """The endpoint cannot be negotiated, because its media worker died.

    The code is Kurento's for unexpected errors. Nothing is wrong with the request, and no other code blames the
    server.
    """

    code = 40003
    type = "UNEXPECTED_ERROR"


class InternalError(ProtocolError):
    """An unexpected exception. Its cause is in the log."""

    code = 40003
    type = "UNEXPECTED_ERROR"

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"Unexpected error: {type(cause).__name__}, see the media server's log")


class ConnectError(ProtocolError):
    code = 40004
    type = "CONNECT_ERROR"

    def __init__(self) -> None:
        super().__init__("Media elements do not share pipeline")


class NotImplementedByServerError(ProtocolError):
    """Kurento has this operation, but this server does not."""

    code = 40006
    type = "NOT_IMPLEMENTED"


class InvalidSessionError(ProtocolError):
    code = 40007
    type = "INVALID_SESSION"

    def __init__(self) -> None:
        super().__init__("Invalid session")


class MalformedTransactionError(ProtocolError):
    """An operation is unknown (Kurento uses this name for that, too), or the ids of a transaction do not count up
    from 0.
    """

    code = 40008
    type = "MALFORMED_TRANSACTION"


class NotEnoughResourcesError(ProtocolError):
    code = 40009
    type = "NOT_ENOUGH_RESOURCES"


class ObjectNotFoundError(ProtocolError):
    code = 40101
    type = "MEDIA_OBJECT_NOT_FOUND"

    def __init__(self, object_id: str) -> None:
        super().__init__(f"Object '{object_id}' not found")


class EventNotSupportedError(ProtocolError):
    code = 40106
    type = "MEDIA_OBJECT_EVENT_NOT_SUPPORTED"

    def __init__(self, event_type: str) -> None:
        super().__init__(f"Event '{event_type}' not supported")


class FactoryNotFoundError(ProtocolError):
    code = 40108
    type = "MEDIA_OBJECT_NOT_AVAILABLE"

    def __init__(self, object_type: str) -> None:
        super().__init__(f"Factory '{object_type}' not found")


class NewrefNotFoundError(ProtocolError):
    """A `newref:N` is outside of a transaction, or its operation did not create an object."""

    code = 40109
    type = "MEDIA_OBJECT_NOT_FOUND_TRANSACTION_NO_COMMIT"

    def __init__(self, object_id: str) -> None:
        super().__init__(
            f"Object '{object_id}' not found."
            " Possibly using a transactional object without committing the transaction."
        )


class TagNotFoundError(ProtocolError):
    code = 40110
    type = "MEDIA_OBJECT_TAG_KEY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("Tag key not found")


class KeyframeNotSupportedError(ProtocolError):
    """A keyframe is requested at an endpoint that no video has reached, so there is no source to ask."""

    code = 40111
    type = "MEDIA_OBJECT_OPERATION_NOT_SUPPORTED"

    def __init__(self) -> None:
        super().__init__("Keyframe request failed (must be requested from a subscriber element)")


class SdpParseError(ProtocolError):
    code = 40201
    type = "SDP_PARSE_ERROR"


class NoLocalSdpError(ProtocolError):
    code = 40202
    type = "SDP_END_POINT_NO_LOCAL_SDP_ERROR"

    def __init__(self) -> None:
        super().__init__("No local SDP")


class NoRemoteSdpError(ProtocolError):
    code = 40203
    type = "SDP_END_POINT_NO_REMOTE_SDP_ERROR"

    def __init__(self) -> None:
        super().__init__("No remote SDP")


class GenerateOfferError(ProtocolError):
    """An offer cannot be made, because the codec of the endpoint's source cannot be offered."""

    code = 40204
    type = "SDP_END_POINT_GENERATE_OFFER_ERROR"


class ProcessOfferError(ProtocolError):
    """An offer is well-formed, but cannot be accepted."""

    code = 40205
    type = "SDP_END_POINT_PROCESS_OFFER_ERROR"


class ProcessAnswerError(ProtocolError):
    """An answer is well-formed, but cannot be accepted."""

    code = 40206
    type = "SDP_END_POINT_PROCESS_ANSWER_ERROR"


class AlreadyNegotiatedError(ProtocolError):
    code = 40208
    type = "SDP_END_POINT_ALREADY_NEGOTIATED"

    def __init__(self) -> None:
        super().__init__("Endpoint already negotiated")


class OfferNotGeneratedError(ProtocolError):
    code = 40209
    type = "SDP_END_POINT_NOT_OFFER_GENERATED"

    def __init__(self) -> None:
        super().__init__("Offer not generated. It is not possible to process an answer.")


class AnswerAlreadyProcessedError(ProtocolError):
    code = 40210
    type = "SDP_END_POINT_ANSWER_ALREADY_PROCCESED"

    def __init__(self) -> None:
        super().__init__("Sdp Answer already processed")


class AddCandidateError(ProtocolError):
    code = 40401
    type = "ICE_ADD_CANDIDATE_ERROR"

    def __init__(self) -> None:
        super().__init__("Error adding candidate")


class ModuleNotFoundInServerError(ProtocolError):
    code = 40500
    type = "UNDEFINED"

    def __init__(self) -> None:
        super().__init__("Requested kmd module doesn't exist")
