"""Kurento's error codes as exception types, with the names and messages that the real server gives."""

from __future__ import annotations

from typing import Any, ClassVar

from roomfsm.jsonrpc import ErrorObject


class ProtocolError(Exception):
    """A request that is answered with an error; `code` and `type` are Kurento's (`error.data.type`).

    A class without a `type` is answered without `error.data`, as Kurento does outside its own code range.
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
    """No `params`, on a socket that is not bound to a session."""

    code = -32602
    type = "INVALID_PARAMS"

    def __init__(self) -> None:
        super().__init__("'params' is required")


class UnexpectedError(ProtocolError):
    """A request that makes the real server throw: JSON of another shape, an object of another kind."""

    code = -32603

    def __init__(self, what: str) -> None:
        super().__init__(f"Unexpected error while processing method: {what}")


class ParameterError(ProtocolError):
    """A member of `params` itself that is missing or of a wrong type."""

    code = -32000


class MarshallError(ProtocolError):
    """A wrong or missing argument of a constructor or an operation, or a bad enumeration value."""

    code = 40001
    type = "MARSHALL_ERROR"


class WorkerDiedError(ProtocolError):
    """Negotiation of an endpoint whose media worker died. Kurento's code for what it did not expect of itself:
    nothing is wrong with the request, and none of the other codes blames the server."""

    code = 40003
    type = "UNEXPECTED_ERROR"


class InternalError(ProtocolError):
    """An exception that nobody foresaw; its cause is in the log."""

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
    """An operation that Kurento has and this server has not."""

    code = 40006
    type = "NOT_IMPLEMENTED"


class InvalidSessionError(ProtocolError):
    code = 40007
    type = "INVALID_SESSION"

    def __init__(self) -> None:
        super().__init__("Invalid session")


class MalformedTransactionError(ProtocolError):
    """An unknown operation (Kurento's name for it), or a transaction whose ids do not count up from 0."""

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
    """A `newref:N` outside a transaction, or one whose operation did not create an object."""

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
    """A keyframe is asked for at an endpoint that no video has reached: nobody is there to be asked."""

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
    """An offer that cannot be made of what the endpoint is to send."""

    code = 40204
    type = "SDP_END_POINT_GENERATE_OFFER_ERROR"


class ProcessOfferError(ProtocolError):
    """An offer that is well-formed, but cannot be served."""

    code = 40205
    type = "SDP_END_POINT_PROCESS_OFFER_ERROR"


class ProcessAnswerError(ProtocolError):
    """An answer that is well-formed, but cannot be served."""

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
