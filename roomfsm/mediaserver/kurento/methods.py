"""The methods of Kurento's JSON-RPC protocol, and the way in which a request is answered."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar
from uuid import uuid4

from roomfsm import jsonrpc
from roomfsm.jsonrpc import ErrorObject, FramingError, Message, MessageId, Notification, Request, Response
from roomfsm.mediaserver.base.boundary import Boundary
from roomfsm.mediaserver.kurento.arguments import Arguments, Params, as_boolean
from roomfsm.mediaserver.kurento.errors import (
    InternalError,
    InvalidRequestError,
    InvalidSessionError,
    MalformedTransactionError,
    MethodNotFoundError,
    ParameterError,
    ParamsRequiredError,
    ProtocolError,
    UnexpectedError,
)
from roomfsm.mediaserver.kurento.objects import MediaObject
from roomfsm.mediaserver.kurento.registry import NEWREF, Objects
from roomfsm.mediaserver.kurento.sessions import Session, Socket

_REQUEST = Boundary("one request")

type Result = dict[str, Any] | None
type Method = Callable[[Any, Params, Session], Awaitable[Result]]


class Methods:
    """Answers requests. Everything that a request can do to sessions and objects begins here.

    `TABLE` has the methods, `WITHOUT_PARAMS` those that may come without `params` on a socket without a session,
    and `IN_TRANSACTION` those that are allowed in a transaction.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.server_id = str(uuid4())

    async def answer(self, text: str | bytes, socket: Socket) -> str:
        """Return the reply to one message. The socket is bound to the session that a successful reply names.

        Raises `FramingError` with `PARSE_ERROR` if the message is not JSON; Kurento cuts the connection then. An
        unexpected exception is answered with 40003, and ends only this request.
        """
        id_: MessageId = None
        try:
            message = jsonrpc.decode(text)
            if isinstance(message, Request):
                id_ = message.id
            return await self._answer_message(message, socket)
        except FramingError as error:
            if error.code == jsonrpc.PARSE_ERROR:
                raise
            if error.code == jsonrpc.INVALID_PARAMS:
                return _encode_error(error.id, UnexpectedError(str(error)))
            return _encode_error(None, InvalidRequestError())
        except Exception as error:  # noqa: BLE001 (see boundary.py)
            return _encode_error(id_, _unexpected(error))

    async def _answer_message(self, message: Message, socket: Socket) -> str:
        if isinstance(message, Response):
            return _encode_error(None, InvalidRequestError())
        id_ = message.id if isinstance(message, Request) else None
        try:
            method = self.TABLE.get(message.method)
            if method is None:
                raise MethodNotFoundError
            session, params = self._session_and_params(message, socket)
            if id_ is not None and (cached := session.replies.get(id_)) is not None:
                self._bind(cached, session, socket)
                return jsonrpc.encode(cached)
            try:
                response = Response(id_, await self._carry_out(method, params, session))
            except ProtocolError as error:
                response = Response(id_, error=error.as_error_object())
            self._bind(response, session, socket)
            return self._write(response, session)
        except ProtocolError as error:
            return _encode_error(id_, error)

    async def _carry_out(self, method: Method, params: Params, session: Session) -> Result:
        """Carry out a method. Raises only `ProtocolError`s."""
        try:
            return await method(self, params, session)
        except ProtocolError:
            raise
        except Exception as error:
            raise _unexpected(error) from error

    def _session_and_params(self, message: Request | Notification, socket: Socket) -> tuple[Session, Params]:
        """The session that the request names, or else its socket's session, or else a new one that is not kept
        yet.
        """
        params = dict(message.params or {})
        if "sessionId" not in params and socket.session_id is not None:
            params["sessionId"] = socket.session_id
        if message.params is None and not params and message.method not in self.WITHOUT_PARAMS:
            raise ParamsRequiredError
        session_id = Params(params).text("sessionId") if "sessionId" in params else None
        return self.objects.sessions.get_or_new(session_id), Params(params)

    def _bind(self, response: Response, session: Session, socket: Socket) -> None:
        if response.error is None and response.result is not None and "sessionId" in response.result:
            self.objects.sessions.bind(session, socket)

    def _write(self, response: Response, session: Session) -> str:
        """The text of the reply, which is remembered in case the id is repeated."""
        if response.id is None and response.error is None:
            # The request has no id. Kurento carries it out, and sends the result as an error.
            refusal = "Ignoring response because of a notification request"
            response = Response(None, error=ErrorObject(ParameterError.code, refusal, response.result))
        text = jsonrpc.encode(response)
        if response.id is not None:
            session.replies.put(response, len(text))
        return text

    # The methods

    async def ping(self, params: Params, session: Session) -> Result:
        if "sessionId" in params.members:
            return {"sessionId": session.id, "value": "pong"}
        return {"value": "pong"}

    async def connect(self, params: Params, session: Session) -> Result:
        """Return the id of a new session, or of one that has touched an object.

        Its events come to this socket from now on.
        """
        if "sessionId" in params.members and not session.registered:
            raise InvalidSessionError
        return {"serverId": self.server_id, "sessionId": session.id}

    async def keep_alive(self, params: Params, session: Session) -> Result:
        params.text("sessionId")
        if not session.registered:
            raise InvalidSessionError
        return {"sessionId": session.id}

    async def close_session(self, params: Params, session: Session) -> Result:
        """End a session. Objects that other sessions hold stay.

        If `release` is true, everything that the session created or touched is released, even if other sessions
        hold it.
        """
        params.text("sessionId")
        if as_boolean(params.members.get("release")):
            self.objects.release_all(session)
        self.objects.end_session(session)
        return None

    async def create(self, params: Params, session: Session) -> Result:
        type_ = params.text("type")
        arguments = Arguments(params.members.get("constructorParams"), "constructorParams")
        created = self.objects.create(type_, arguments, session)
        return {"sessionId": session.id, "value": created.id}

    async def describe(self, params: Params, session: Session) -> Result:
        described = self.objects.find(params.text("object"))
        self.objects.hold(session, described)
        return {**described.describe(), "sessionId": session.id}

    async def invoke(self, params: Params, session: Session) -> Result:
        name = params.text("operation")
        target = self.objects.find(params.text("object"))
        self.objects.hold(session, target)
        given = params.members.get("operationParams")
        arguments = Arguments(None if given == [] else given, "operationParams")
        operation = target.OPERATIONS.get(name)
        if operation is None:
            raise MalformedTransactionError(f"Method '{name}' with {len(arguments)} parameters not found")
        value = operation(target, arguments)
        if inspect.isawaitable(value):
            value = await value
        if isinstance(value, list) and value and isinstance(value[0], MediaObject):
            for found in value:
                self.objects.hold(session, found)
            value = [found.id for found in value]
        return {"sessionId": session.id, "value": value}

    async def subscribe(self, params: Params, session: Session) -> Result:
        type_ = params.text("type")
        target = self.objects.find(params.text("object"))
        self.objects.hold(session, target)
        return {"sessionId": session.id, "value": target.subscribe(type_, session.id)}

    async def unsubscribe(self, params: Params, session: Session) -> Result:
        """Forget a subscription. As in Kurento, it is no error if the object or the subscription is unknown."""
        object_id, subscription_id = params.text("object"), params.text("subscription")
        params.text("sessionId")
        if (target := self.objects.get(object_id)) is not None:
            target.subscriptions.remove(subscription_id)
        return {"sessionId": session.id}

    async def release(self, params: Params, session: Session) -> Result:
        """Release an object, even if other sessions hold it.

        As in Kurento, it is no error if the object is unknown.
        """
        if (target := self.objects.get(params.text("object"))) is not None:
            self.objects.release(target)
        return {"sessionId": session.id}

    async def ref(self, params: Params, session: Session) -> Result:
        object_id = params.text("object")
        params.text("sessionId")
        self.objects.hold(session, self.objects.find(object_id))
        return {"sessionId": session.id}

    async def unref(self, params: Params, session: Session) -> Result:
        object_id = params.text("object")
        params.text("sessionId")
        if (target := self.objects.get(object_id)) is not None:
            self.objects.unhold(session, target)
        return {"sessionId": session.id}

    async def transaction(self, params: Params, session: Session) -> Result:
        """Carry out requests in order until one fails.

        `newref:N` means the object that request number N created.
        """
        operations = params.items("operations")
        results: list[dict[str, Any]] = []
        for number, operation in enumerate(operations):
            if not isinstance(operation, dict):
                raise UnexpectedError("an operation of a transaction must be an object")
            if operation.get("id") != number:
                raise MalformedTransactionError(f"Id of request '{number}' should be '{number}'")
            try:
                result = await self._operate(operation, results, session)
            except ProtocolError as error:
                results.append({"error": error.as_members(), "id": number, "jsonrpc": "2.0"})
                break
            results.append({"id": number, "jsonrpc": "2.0", "result": result})
        return {"sessionId": session.id, "value": results}

    async def _operate(self, operation: dict[str, Any], results: list[dict[str, Any]], session: Session) -> Result:
        name = operation.get("method")
        if not isinstance(name, str) or name not in self.IN_TRANSACTION:
            raise MethodNotFoundError
        given = operation.get("params", {})
        if not isinstance(given, dict):
            raise UnexpectedError("'params' must be an object")
        try:
            members = _resolve(given, results)
        except RecursionError as error:
            raise UnexpectedError("'params' are nested too deeply") from error
        return await self._carry_out(self.TABLE[name], Params({**members, "sessionId": session.id}), session)

    TABLE: ClassVar[Mapping[str, Method]] = {
        "closeSession": close_session,
        "connect": connect,
        "create": create,
        "describe": describe,
        "invoke": invoke,
        "keepAlive": keep_alive,
        "ping": ping,
        "ref": ref,
        "release": release,
        "subscribe": subscribe,
        "transaction": transaction,
        "unref": unref,
        "unsubscribe": unsubscribe,
    }
    WITHOUT_PARAMS: ClassVar[frozenset[str]] = frozenset({"connect", "ping"})
    IN_TRANSACTION: ClassVar[frozenset[str]] = frozenset(
        {"create", "describe", "invoke", "ref", "release", "subscribe", "unref", "unsubscribe"}
    )


def _resolve(value: Any, results: list[dict[str, Any]]) -> Any:
    """`value`, with every `newref:N` in it replaced by the object that operation N created."""
    if isinstance(value, str) and value.startswith(NEWREF):
        number = value.removeprefix(NEWREF)
        if number.isdecimal() and int(number) < len(results):
            created = (results[int(number)]["result"] or {}).get("value")
            return created if isinstance(created, str) else value
        return value
    if isinstance(value, dict):
        return {key: _resolve(member, results) for key, member in value.items()}
    if isinstance(value, list):
        return [_resolve(member, results) for member in value]
    return value


def _unexpected(error: Exception) -> InternalError:
    """The error for a request that raised an unexpected exception, which is logged and counted here."""
    _REQUEST.caught(error)
    return InternalError(error)


def _encode_error(id_: MessageId, error: ProtocolError) -> str:
    return jsonrpc.encode(Response(id_, error=error.as_error_object()))
