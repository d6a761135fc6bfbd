"""Brings and fetches the files of the chat: `PUT` and `GET` of addresses known only to those who were told them.

A file is brought past the application. Quart keeps what it gets in memory until somebody reads it, however much
that is. Here a part of the body is read when the one before is on the disk, so that a slow disk slows the sender.

Whoever knows an address may use it from any page (`Access-Control-Allow-Origin: *`): the address is the
permission, and which pages may connect, and so get addresses, is decided by `--allow-origin`.

A file that is fetched can be anything. So it is never a page of ours: the browser is told to save it, or to show
it only if its bytes are those of a picture; to guess no other type; and, if it is opened all the same, to run
nothing and to give it an origin of its own (`Content-Security-Policy: sandbox`).
"""

from __future__ import annotations

import errno
import re
from http import HTTPStatus
from urllib.parse import quote

import h11
import msgspec
import trio
from quart import Blueprint, Response, request
from quart_trio.wrappers.response import TrioFileBody

from roomfsm.door.answers import RETRY, Fields
from roomfsm.door.conversation import BodyBound, BoundOf, Exchange, ServeHttp, in_memory
from roomfsm.door.judge import RequestHead
from roomfsm.door.tally import Tally
from roomfsm.files.pictures import ANYTHING, HEAD_BYTES, media_type
from roomfsm.files.shared_file import FOLDER, SharedFile
from roomfsm.files.store import FileStore
from roomfsm.hosts import bound_key
from roomfsm.log import get_logger
from roomfsm.open_files import EXHAUSTED
from roomfsm.protocol.errors import ErrorCode, IllegalInState, Refusal
from roomfsm.rooms.room import RoomOver

_log = get_logger(__name__)

_ADDRESS = re.compile(rf"/{FOLDER}/((?:[A-Za-z0-9]{{1,20}}\.)?[A-Za-z0-9_-]{{1,64}})")
"""The address of a file. It may begin with the mark of the node that has it."""
_WRITTEN_AT_ONCE = 65_536
"""So many bytes are collected before a thread writes them."""
_READ_AT_ONCE = 65_536

_STATUS: dict[ErrorCode, HTTPStatus] = {
    ErrorCode.NO_SUCH_FILE: HTTPStatus.NOT_FOUND,
    ErrorCode.NO_FILES: HTTPStatus.FORBIDDEN,
    ErrorCode.NO_SUCH_PARTICIPANT: HTTPStatus.CONFLICT,
    ErrorCode.PARTICIPANT_AWAY: HTTPStatus.CONFLICT,
    ErrorCode.FILE_INCOMPLETE: HTTPStatus.BAD_REQUEST,
    # Not 408, after which a browser may send all of it again (RFC 9110 section 15.5.9).
    ErrorCode.FILE_LATE: HTTPStatus.BAD_REQUEST,
    ErrorCode.FILES_FULL: HTTPStatus.INSUFFICIENT_STORAGE,
    ErrorCode.FILES_BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.ILLEGAL_IN_STATE: HTTPStatus.CONFLICT,
    ErrorCode.STORE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.ROOM_CLOSED: HTTPStatus.GONE,
}
_ANYBODY = ("Access-Control-Allow-Origin", "*")
_PREFLIGHT = (
    _ANYBODY,
    ("Access-Control-Allow-Methods", "GET, HEAD, PUT"),
    ("Access-Control-Allow-Headers", "content-type, range"),
    ("Access-Control-Max-Age", "86400"),
)


class Refused(msgspec.Struct, frozen=True):
    """The body of an answer that refuses: a code of the protocol, and a sentence."""

    code: ErrorCode
    detail: str


def bounds_of(store: FileStore | None, part_timeout: float) -> BoundOf:
    """The bounds of request bodies: only a file may be longer than others.

    Whether anybody was asked to bring it is decided before a byte of it is read, with an answer that says so.
    """
    if store is None:
        return in_memory

    def bound_of(head: RequestHead) -> BodyBound | None:
        token = _token_of(head)
        if head.method != "PUT" or token is None:
            return None
        return BodyBound(store.settings.max_file_bytes, part_timeout)

    return bound_of


def with_uploads(store: FileStore | None, serve_http: ServeHttp) -> ServeHttp:
    """Serve the requests that bring files, and have all others served by `serve_http`.

    There is a bound on the requests for files that are open at a time, because each keeps a file open, and can
    take long. The front door ends those whose client sends or reads too slowly.
    """
    if store is None:
        return serve_http
    places = Tally(store.settings.max_file_requests, store.settings.max_file_requests_per_address)

    async def serve(exchange: Exchange) -> None:
        token = _token_of(exchange.head)
        if token is None:
            await serve_http(exchange)
        elif exchange.head.method == "OPTIONS":
            await _answer(exchange, HTTPStatus.NO_CONTENT, fields=_PREFLIGHT)
        elif not places.take(key := bound_key(exchange.client[0])):
            store.requests_refused += 1
            await _refuse(exchange, Refusal(ErrorCode.FILES_BUSY))
        else:
            try:
                with store.in_use(token):
                    if exchange.head.method == "PUT":
                        await _Upload(store, exchange).serve(token)
                    else:
                        await serve_http(exchange)
            finally:
                places.give_back(key)

    return serve


class _Upload:
    """One request that brings a file."""

    def __init__(self, store: FileStore, exchange: Exchange) -> None:
        self._store = store
        self._exchange = exchange

    async def serve(self, token: str) -> None:
        try:
            file = self._store.to_bring(token)
            if file is None:
                raise Refusal(ErrorCode.NO_SUCH_FILE)
            came = await self._bring(file)
        except Refusal as refusal:
            self._store.results[refusal.code] += 1
            await _refuse(self._exchange, refusal)
            return
        self._store.results["arrived" if came else "broken_off"] += 1
        if came:
            await _answer(self._exchange, HTTPStatus.CREATED)

    async def _bring(self, file: SharedFile) -> bool:
        """Take the bytes of a file. Returns False if its sender has gone, or sends nothing. Raises `Refusal`."""
        length = self._exchange.head.headers.get("content-length")
        file.fire("put", as_announced=length is None or int(length) == file.size)
        # The time is for the bytes alone. When all of them are there, the room decides, which answers at once, or
        # raises that it is over.
        time = trio.CancelScope(relative_deadline=self._store.settings.upload_timeout)
        try:
            with file.uploading:
                with time:
                    async with self._store.disk_for(file):
                        if not await self._write(file):
                            return False
                if time.cancelled_caught:
                    file.follow("late")
                    raise Refusal(ErrorCode.FILE_LATE)
                await file.deliver(file)
                return True
        except OSError as error:
            _log.error("file not kept", why=error.strerror, size=file.size)
            if error.errno in EXHAUSTED:
                raise Refusal(ErrorCode.FILES_BUSY) from error
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "The server's disk is full." if full else "The server's disk does not take the file."
            raise Refusal(ErrorCode.FILES_FULL, why) from error
        except RoomOver:
            raise Refusal(ErrorCode.ROOM_CLOSED) from None
        finally:
            file.follow("broken_off")
        # The scope was cancelled, because the file was dropped.
        raise Refusal(ErrorCode.NO_SUCH_FILE)

    async def _write(self, file: SharedFile) -> bool:
        """Write what comes to the disk. Returns False if the sender has gone. Raises `OSError` or `Refusal`."""
        async with await trio.open_file(file.path, "xb") as disk:
            buffer = bytearray()
            head = b""
            while data := await self._exchange.receive():
                file.received += len(data)
                if file.received > file.size:
                    raise Refusal(ErrorCode.FILE_INCOMPLETE)
                head = (head + data)[:HEAD_BYTES] if len(head) < HEAD_BYTES else head
                buffer += data
                if len(buffer) >= _WRITTEN_AT_ONCE:
                    await disk.write(bytes(buffer))
                    buffer.clear()
            if data is None:
                return False
            await disk.write(bytes(buffer))
        file.media_type = media_type(head)
        return True


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    content = msgspec.json.encode(Refused(refusal.code, str(refusal)))
    await _answer(exchange, _STATUS[refusal.code], content, _fields_of(refusal))


async def _answer(
    exchange: Exchange, status: HTTPStatus, content: bytes = b"", fields: Fields = (_ANYBODY,)
) -> None:
    headers = [*fields, ("Cache-Control", "no-store")]
    if status is not HTTPStatus.NO_CONTENT:
        headers += [("Content-Length", str(len(content)))]
    if content:
        headers.append(("Content-Type", "application/json"))
    await exchange.send(h11.Response(status_code=status, headers=headers))
    if content and exchange.head.method != "HEAD":
        await exchange.send(h11.Data(content))
    await exchange.send(h11.EndOfMessage())


def create_files(store: FileStore | None) -> Blueprint:
    """The addresses at which files are fetched."""
    files = Blueprint("files", __name__)

    @files.get(f"/{FOLDER}/<token>")
    async def fetch(token: str) -> Response:
        try:
            if store is None:
                raise Refusal(ErrorCode.NO_SUCH_FILE)
            file = store.to_fetch(token)
            file.fire("fetched")
            return await _content(file)
        except (IllegalInState, FileNotFoundError):
            # Its bytes are not there yet, or not any more.
            return _refused(Refusal(ErrorCode.NO_SUCH_FILE))
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            return _refused(Refusal(ErrorCode.FILES_BUSY))
        except Refusal as refusal:
            return _refused(refusal)

    return files


def _refused(refusal: Refusal) -> Response:
    content = msgspec.json.encode(Refused(refusal.code, str(refusal)))
    headers = dict((*_fields_of(refusal), ("Cache-Control", "no-store")))
    return Response(content, _STATUS[refusal.code], headers=headers, content_type="application/json")


def _fields_of(refusal: Refusal) -> Fields:
    return (_ANYBODY, *RETRY) if refusal.code is ErrorCode.FILES_BUSY else (_ANYBODY,)


async def _content(file: SharedFile) -> Response:
    body = await trio.to_thread.run_sync(lambda: TrioFileBody(file.path, buffer_size=_READ_AT_ONCE))
    response = Response(body, content_type=file.media_type)
    how = "attachment" if file.media_type == ANYTHING else "inline"
    response.headers["Content-Disposition"] = f"{how}; {_named(file.announced.name)}"
    response.headers["Content-Length"] = str(file.size)
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.set_etag(file.token)
    # Quart takes a range as it is asked for, beyond the end or counted from it.
    await response.make_conditional(request)
    response.headers["Accept-Ranges"] = "bytes"
    if response.status_code == HTTPStatus.OK:
        await _cut(response, body, file)
    return response


async def _cut(response: Response, body: TrioFileBody, file: SharedFile) -> None:
    """Answer with the part of the file that is asked for, if it is one part (RFC 9110 section 14)."""
    asked = request.range
    same = request.if_range.etag in (None, file.token) and request.if_range.date is None
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1 or not same:
        return
    begin, end = asked.ranges[0]
    # A negative beginning is counted from the end.
    begin = max(0, begin + file.size) if begin < 0 else begin
    end = file.size if end is None else min(end, file.size)
    if begin >= end:
        response.status_code = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        response.headers["Content-Range"] = f"bytes */{file.size}"
        response.set_data(b"")
        return
    await body.make_conditional(begin, end)
    response.status_code = HTTPStatus.PARTIAL_CONTENT
    response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{file.size}"
    response.headers["Content-Length"] = str(end - begin)


def _named(name: str) -> str:
    """The name in the form of RFC 6266: one that old programs understand, and the whole of it (RFC 8187)."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", name)
    return f"filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _token_of(head: RequestHead) -> str | None:
    """The token in the address of a file; None if it is another address."""
    match = _ADDRESS.fullmatch(head.path)
    return None if match is None else match[1]
