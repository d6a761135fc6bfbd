"""What the operations of the admin API do. The rooms' tables decide; nothing here decides in their place."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from urllib.parse import quote

import msgspec
import trio

from roomfsm import __version__
from roomfsm.access.credentials import credentials
from roomfsm.access.grant import Grant
from roomfsm.access.patterns import room_pattern
from roomfsm.access.policy import Policy
from roomfsm.access.settings import AccessSettings
from roomfsm.hosts import media_server_fault
from roomfsm.kurento.pool import MediaPool
from roomfsm.lifecycle.server import ServerFacts
from roomfsm.protocol import client
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.names import NameFault, display_name, room_key, room_name
from roomfsm.rooms.directory import Directory, RoomExists
from roomfsm.rooms.events import Administer, Administering, ChangePolicy, SetPolicy
from roomfsm.rooms.legs import Stream
from roomfsm.rooms.media_servers import MediaServer, MediaServerExists, MediaServers, TooManyMediaServers
from roomfsm.rooms.participant import Participant
from roomfsm.rooms.room import Room, RoomOver
from roomfsm.store.interface import StoreError
from roomfsm.web.api import structures as s
from roomfsm.web.api.operations import Call, Operation
from roomfsm.web.api.problems import ApiCode, Problem
from roomfsm.web.others import Others

_OF_ROOM = (ApiCode.NO_SUCH_ROOM, ErrorCode.ILLEGAL_IN_STATE, ErrorCode.ROOM_CLOSED)
_OF_PERSON = (*_OF_ROOM, ErrorCode.NO_SUCH_PARTICIPANT)
_NUMBERS, _ROOMS = "numbers", "rooms"
"""What nodes ask each other about."""
_HASHERS = 2
"""How many passwords are hashed at a time."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the server that the API steers.

    `grant` verifies the token of a `join`. `access` gives the settings of tokens, which may change.
    """

    directory: Directory
    pool: MediaPool
    media_servers: MediaServers
    session_count: Callable[[], int]
    grant: Callable[[client.Join], Awaitable[Grant | None]]
    access: Callable[[], AccessSettings]
    others: Others


class Handlers:
    """The operations of one server."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._others = parts.others
        self._others.answers |= {
            _NUMBERS: lambda: msgspec.json.encode(self._numbers()),
            _ROOMS: lambda: msgspec.json.encode(self._rooms_here()),
        }
        self._hashing = trio.CapacityLimiter(_HASHERS)

    def operations(self) -> Sequence[Operation]:
        """All operations, in the order of the documentation."""
        elsewhere = (ApiCode.NODE_SILENT, ErrorCode.STORE_UNAVAILABLE)
        full = (ErrorCode.SERVER_FULL, ErrorCode.SERVER_CLOSING, *elsewhere)
        in_room, person = "/rooms/{room}", "/rooms/{room}/people/{person}"
        no_content = HTTPStatus.NO_CONTENT
        media_server = "/media-servers/{server}"
        unshared = ErrorCode.STORE_UNAVAILABLE
        steered = (ApiCode.NO_SUCH_MEDIA_SERVER, ErrorCode.ILLEGAL_IN_STATE, unshared)
        return (
            Operation("showServer", "GET", "/server", "Show the server in a few numbers", self._server,
                      answer=s.ServerTold),
            Operation("listRooms", "GET", "/rooms", "List the open rooms", self._rooms,
                      query=s.Page, answer=s.Rooms),
            Operation("createRoom", "POST", "/rooms", "Open a room before anybody enters it", self._create,
                      body=s.CreateRoom, answer=s.RoomInFull, status=HTTPStatus.CREATED,
                      refusals=(ApiCode.ROOM_EXISTS, *full)),
            Operation("showRoom", "GET", in_room, "Show a room", self._room,
                      answer=s.RoomInFull, refusals=(ApiCode.NO_SUCH_ROOM,)),
            Operation("closeRoom", "POST", f"{in_room}/close", "Close a room and tell its people why", self._close,
                      body=s.CloseRoom, status=HTTPStatus.ACCEPTED, refusals=(ApiCode.NO_SUCH_ROOM,)),
            Operation("configureRoom", "PUT", f"{in_room}/policy", "Replace the whole policy of a room",
                      self._configure, body=s.PolicyGiven, answer=s.RoomInFull, refusals=_OF_ROOM),
            Operation("changeRoomPolicy", "PATCH", f"{in_room}/policy", "Change a part of a room's policy",
                      self._change_policy, body=s.PolicyChange, answer=s.RoomInFull, refusals=_OF_ROOM),
            Operation("lockRoom", "PUT", f"{in_room}/lock", "Lock or unlock a room", self._lock,
                      body=s.Lock, answer=s.Locked, refusals=_OF_ROOM),
            Operation("clearRoomChat", "DELETE", f"{in_room}/chat", "Forget all lines of chat", self._clear_chat,
                      status=no_content, refusals=_OF_ROOM),
            Operation("listPeople", "GET", f"{in_room}/people", "List the people of a room", self._people,
                      query=s.Page, answer=s.People, refusals=(ApiCode.NO_SUCH_ROOM,)),
            Operation("kickPerson", "POST", f"{person}/kick", "Put a person out, who may come back", self._kick,
                      status=no_content, refusals=_OF_PERSON),
            Operation("banPerson", "POST", f"{person}/ban", "Put a person out, who may not come back for a time",
                      self._ban, body=s.BanPerson, status=no_content, refusals=_OF_PERSON),
            Operation("giveRole", "PUT", f"{person}/role", "Give a person a role", self._give_role,
                      body=s.GiveRole, status=no_content, refusals=_OF_PERSON),
            Operation("unbanPerson", "DELETE", f"{in_room}/bans/{{person}}", "End a ban", self._unban,
                      status=no_content, refusals=(*_OF_ROOM, ErrorCode.NOT_BANNED)),
            Operation("listPolicies", "GET", "/policies", "List the policies of the settings", self._policies,
                      answer=s.Policies),
            Operation("explain", "POST", "/explain", "Say what somebody who enters would get", self._explain,
                      body=s.Explain, answer=s.Explained, refusals=elsewhere),
            Operation("issueToken", "POST", "/tokens", "Issue a token with which somebody may enter", self._issue,
                      body=s.IssueToken, answer=s.TokenTold, status=HTTPStatus.CREATED,
                      refusals=(ApiCode.NO_SIGNING_KEY,)),
            Operation("listMediaServers", "GET", "/media-servers", "List the media servers", self._media_servers,
                      answer=s.MediaServers),
            Operation("addMediaServer", "POST", "/media-servers", "Add a media server", self._add_media_server,
                      body=s.AddMediaServer, answer=s.MediaServerTold, status=HTTPStatus.CREATED,
                      refusals=(ApiCode.MEDIA_SERVER_EXISTS, ApiCode.TOO_MANY_MEDIA_SERVERS, unshared)),
            Operation("showMediaServer", "GET", media_server, "Show a media server", self._media_server,
                      answer=s.MediaServerTold, refusals=(ApiCode.NO_SUCH_MEDIA_SERVER,)),
            Operation("drainMediaServer", "POST", f"{media_server}/drain", "Let no more broadcasts begin there",
                      self._drain_media_server, answer=s.MediaServerTold, refusals=steered),
            Operation("useMediaServer", "POST", f"{media_server}/use", "Let broadcasts begin there again",
                      self._use_media_server, answer=s.MediaServerTold, refusals=steered),
            Operation("removeMediaServer", "DELETE", media_server, "Take a drained media server away",
                      self._remove_media_server, status=no_content, refusals=steered),
        )  # fmt: skip

    # The server

    async def _server(self, _: Call) -> s.ServerTold:
        heard = await self._others.hear(_NUMBERS, s.Numbers)
        all_of = [self._numbers(), *heard.answers]
        life = self._parts.directory.life
        ready = life.refusal("ready", ServerFacts(media_reachable=self._parts.pool.ready())) is None
        return s.ServerTold(
            version=__version__,
            state=life.state,
            since=round(life.age - (life.tally.since(None) or 0.0), 3),
            ready=ready,
            sessions=sum(one.sessions for one in all_of),
            rooms=sum(one.rooms for one in all_of),
            people=sum(one.people for one in all_of),
            streams=sum(one.streams for one in all_of),
            views=sum(one.views for one in all_of),
            media_servers=len(self._parts.pool.servers),
            nodes=len(all_of),
            missing=tuple(heard.missing),
        )

    def _numbers(self) -> s.Numbers:
        rooms = self._parts.directory.rooms()
        return s.Numbers(
            sessions=self._parts.session_count(),
            rooms=len(rooms),
            people=sum(len(room.people) for room in rooms),
            streams=sum(len(room.streams) for room in rooms),
            views=sum(_views(room) for room in rooms),
        )

    async def _media_servers(self, _: Call) -> s.MediaServers:
        return s.MediaServers(media_servers=tuple(map(_media_server, self._parts.media_servers.all())))

    async def _add_media_server(self, call: Call) -> s.MediaServerTold:
        fault = media_server_fault(call.body.url)
        if fault is not None:
            raise Problem(ErrorCode.MALFORMED, fault, path="$.url")
        try:
            return _media_server(await self._parts.media_servers.add(call.body.url, call.body.secret))
        except MediaServerExists:
            raise Problem(ApiCode.MEDIA_SERVER_EXISTS, path="$.url") from None
        except TooManyMediaServers:
            raise Problem(ApiCode.TOO_MANY_MEDIA_SERVERS) from None
        except StoreError as error:
            raise _not_shared(error) from error

    async def _media_server(self, call: Call) -> s.MediaServerTold:
        return _media_server(self._find_media_server(call))

    async def _drain_media_server(self, call: Call) -> s.MediaServerTold:
        return await self._steer(call, "drainMediaServer")

    async def _use_media_server(self, call: Call) -> s.MediaServerTold:
        return await self._steer(call, "useMediaServer")

    async def _remove_media_server(self, call: Call) -> None:
        await self._steered(call, "removeMediaServer")

    def _find_media_server(self, call: Call) -> MediaServer:
        server = self._parts.media_servers.find(call.at["server"])
        if server is None:
            raise Problem(ApiCode.NO_SUCH_MEDIA_SERVER)
        return server

    async def _steer(self, call: Call, trigger: str) -> s.MediaServerTold:
        await self._steered(call, trigger)
        return _media_server(self._find_media_server(call))

    async def _steered(self, call: Call, trigger: str) -> None:
        try:
            await self._parts.media_servers.steer(self._find_media_server(call), trigger)
        except StoreError as error:
            raise _not_shared(error) from error

    # Rooms

    async def _rooms(self, call: Call) -> s.Rooms:
        heard = await self._others.hear(_ROOMS, list[s.RoomTold])
        # A room that changes its node may be at both for a moment.
        by_key = {room.key: room for room in chain(*heard.answers, self._rooms_here())}
        after = call.query.after
        left = [key for key in sorted(by_key) if after is None or key > after]
        shown = left[: call.query.limit]
        return s.Rooms(
            rooms=tuple(by_key[key] for key in shown),
            total=len(by_key),
            next=shown[-1] if len(shown) < len(left) else None,
            missing=tuple(heard.missing),
        )

    def _rooms_here(self) -> list[s.RoomTold]:
        return [_room(room) for room in self._parts.directory.rooms()]

    async def _create(self, call: Call) -> s.RoomInFull:
        name = _name(call.body.name, "$.name")
        policy = None if call.body.policy is None else await self._policy(call.body.policy, "$.policy")
        try:
            async with self._others.claimed(name):
                return _in_full(await self._parts.directory.create(name, policy))
        except RoomExists as error:
            raise Problem(ApiCode.ROOM_EXISTS, f"The room {error} is open already.", path="$.name") from None
        except RoomOver:
            raise Problem(ErrorCode.ROOM_CLOSED) from None

    async def _room(self, call: Call) -> s.RoomInFull:
        return _in_full(self._find(call))

    async def _close(self, call: Call) -> None:
        try:
            closed = await self._parts.directory.close_room(self._find(call).name, call.body.reason)
        except RoomOver:
            raise Problem(ErrorCode.ROOM_CLOSED) from None
        if not closed:
            raise Problem(ApiCode.NO_SUCH_ROOM)

    async def _configure(self, call: Call) -> s.RoomInFull:
        policy = await self._policy(call.body, "$")
        return _in_full(await self._administer(call, SetPolicy(policy)))

    async def _change_policy(self, call: Call) -> s.RoomInFull:
        room = self._find(call)
        fields = await trio.to_thread.run_sync(s.changes, call.body, limiter=self._hashing)
        return _in_full(await self._put(room, ChangePolicy(lambda policy: s.changed(policy, fields))))

    async def _lock(self, call: Call) -> s.Locked:
        room = await self._administer(call, client.Lock() if call.body.locked else client.Unlock())
        return s.Locked(locked=room.locked)

    async def _clear_chat(self, call: Call) -> None:
        await self._administer(call, client.ClearChat())

    # People

    async def _people(self, call: Call) -> s.People:
        people = list(self._find(call).people.values())
        # The list is in the order in which people entered. Somebody may have left since the page before, so a page
        # begins after a number of people, and says so by that number.
        first = _number(call.query.after)
        shown = people[first : first + call.query.limit]
        end = first + len(shown)
        return s.People(
            people=tuple(map(_person, shown)),
            total=len(people),
            next=str(end) if end < len(people) else None,
        )

    async def _kick(self, call: Call) -> None:
        await self._administer(call, client.Kick(participant=call.at["person"]))

    async def _ban(self, call: Call) -> None:
        await self._administer(call, client.Ban(participant=call.at["person"], seconds=call.body.seconds))

    async def _unban(self, call: Call) -> None:
        await self._administer(call, client.Unban(participant=call.at["person"]))

    async def _give_role(self, call: Call) -> None:
        await self._administer(call, client.SetRole(participant=call.at["person"], role=call.body.role))

    # Access

    async def _policies(self, _: Call) -> s.Policies:
        policies = self._parts.directory.policies
        return s.Policies(
            policies=tuple(
                s.PatternPolicy(pattern=pattern, policy=s.PolicyTold.of(policy))
                for pattern, policy in policies.patterns
            ),
            default=s.PolicyTold.of(policies.default),
            require_token=self._parts.access().require_token,
        )

    async def _explain(self, call: Call) -> s.Explained:
        asked: s.Explain = call.body
        name = _name(asked.room, "$.room")
        await self._others.must_be_here(name)
        policy, grant = self._parts.directory.policy_of(name), None
        role, waits, refusal = None, False, None
        try:
            grant = await self._parts.grant(client.Join(room=name, token=asked.token))
            brought = credentials(policy, grant, knows_password=asked.knows_password)
            role, waits = self._parts.directory.would_admit(name, brought)
        except Refusal as refused:
            refusal = s.RefusalTold(code=str(refused.code), detail=str(refused))
        return s.Explained(
            room=name,
            open=self._parts.directory.find(name) is not None,
            policy=s.PolicyTold.of(policy),
            role=role,
            waits=waits,
            subject=None if grant is None else grant.subject,
            name=None if grant is None else grant.name,
            refusal=refusal,
        )

    async def _issue(self, call: Call) -> s.TokenTold:
        asked: s.IssueToken = call.body
        try:
            room = room_pattern(asked.room)
        except NameFault as fault:
            raise Problem(ErrorCode.MALFORMED, str(fault), path="$.room") from None
        try:
            name = None if asked.name is None else display_name(asked.name)
        except NameFault as fault:
            raise Problem(ErrorCode.MALFORMED, str(fault), path="$.name") from None
        # They are imported here, because most servers issue no tokens.
        from roomfsm.access.issue import claims, signing_key
        from roomfsm.access.tokens import sign

        settings = self._parts.access()
        key = signing_key(settings.key_texts)
        if key is None:
            raise Problem(ApiCode.NO_SIGNING_KEY)
        now = int(time.time())
        said = claims(
            room,
            asked.role,
            name=name,
            subject=asked.subject,
            audience=next(iter(settings.token_audience), None),
            now=now,
            seconds=asked.ttl,
        )
        token = sign(key, said)
        path = None if set(room) & set("*?") else f"/r/{quote(room)}#token={token}"
        return s.TokenTold(token=token, expires=now + asked.ttl, path=path)

    # What they share

    def _find(self, call: Call) -> Room:
        room = self._parts.directory.find(call.at["room"])
        if room is None:
            raise Problem(ApiCode.NO_SUCH_ROOM)
        return room

    async def _administer(self, call: Call, message: Administering) -> Room:
        return await self._put(self._find(call), Administer(message))

    async def _put(self, room: Room, event: Administer) -> Room:
        try:
            await room.request(event)
        except RoomOver:
            raise Problem(ErrorCode.ROOM_CLOSED) from None
        return room

    async def _policy(self, given: s.PolicyGiven, at: str) -> Policy:
        try:
            if given.password is None:
                return given.policy()
            return await trio.to_thread.run_sync(given.policy, limiter=self._hashing)
        except Problem as problem:
            problem.path = at + (problem.path or "$").removeprefix("$")
            raise


def _name(text: str, path: str) -> str:
    try:
        return room_name(text)
    except NameFault as fault:
        raise Problem(ErrorCode.MALFORMED, str(fault), path=path) from None


def _number(after: str | None) -> int:
    if after is None:
        return 0
    if not (after.isascii() and after.isdecimal()):
        raise Problem(ErrorCode.MALFORMED, "this is no `next` of a page of people", path="after")
    return int(after)


def _views(room: Room) -> int:
    return sum(len(stream.views) for stream in room.streams.values())


def _room(room: Room) -> s.RoomTold:
    opened = room.journal.opened
    return s.RoomTold(
        name=room.name,
        key=room_key(room.name),
        run=opened.run,
        state=room.told_state,
        opened=opened.opened,
        people=len(room.people),
        away=sum(person.away for person in room.people.values()),
        waiting=room.knocking,
        streams=len(room.streams),
        views=_views(room),
        locked=room.locked,
        created=room.reserved,
        media_server=room.media_server,
    )


def _in_full(room: Room) -> s.RoomInFull:
    return s.RoomInFull(
        room=_room(room),
        policy=s.PolicyTold.of(room.policy),
        own_policy=room.own_policy is not None,
        streams=tuple(map(_stream, room.streams.values())),
        bans=tuple(s.BanTold(participant=one.participant, name=one.name, until=one.until) for one in room.banned),
    )


def _stream(stream: Stream) -> s.StreamTold:
    told = stream.info()
    return s.StreamTold(
        id=told.id, participant=told.participant, source=told.source, state=told.state, viewers=told.viewers
    )


def _person(person: Participant) -> s.PersonTold:
    return s.PersonTold(
        id=person.id,
        name=person.name,
        role=person.role,
        subject=person.subject,
        away=person.away,
        hand=person.hand,
        streams=tuple(person.streams),
        views=len(person.views),
    )


def _not_shared(error: StoreError) -> Problem:
    """The other nodes cannot be told now."""
    return Problem(ErrorCode.STORE_UNAVAILABLE, str(error))


def _media_server(server: MediaServer) -> s.MediaServerTold:
    status = server.status
    return s.MediaServerTold(
        id=server.id,
        number=status.number,
        url=status.url,
        origin=server.origin.value,
        nodes=server.nodes,
        state=server.state,
        connected=status.connected,
        problem=status.problem,
        version=status.version,
        pipelines=status.pipelines,
        endpoints=status.endpoints,
        busy=None if status.busy is None else round(status.busy, 1),
    )
