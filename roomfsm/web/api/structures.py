"""The bodies of the admin API: what it takes, and what it answers. Their JSON Schemas are in the OpenAPI document.

Times are in seconds, moments in milliseconds since 1970 (UTC). Names are camelCase, as in roomfsm.v1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from roomfsm.access.issue import MAX_TTL
from roomfsm.access.passwords import hash_fault, hash_password
from roomfsm.access.policy import Enter, Policy, PolicyFault
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.fields import (
    AccessToken,
    BanSeconds,
    DisplayName,
    ParticipantId,
    Password,
    RoomName,
    Source,
    StreamId,
)
from roomfsm.protocol.roles import Role
from roomfsm.ranges import MIN_SECRET
from roomfsm.web.api.problems import Problem, WrongPolicy

MAX_REASON = 200
MAX_PAGE = 1000
_BOTH = "there is a password, too: give one of the two"
_MANY = 1_000_000_000

Moment = Annotated[int, Meta(description="milliseconds since 1970 (UTC)")]
Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_REASON,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+(?![\s\S])",
        description="a line of text, which people are told",
    ),
]
Subject = Annotated[str, Meta(min_length=1, max_length=255, description="the claim `sub` of a token")]
Hash = Annotated[str, Meta(max_length=512)]
Secret = Annotated[str, Meta(min_length=MIN_SECRET, max_length=512, pattern=r"^[!-~]+(?![\s\S])")]
Number = Annotated[int, Meta(ge=1, le=_MANY)]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="how many entries a page has at most")]
Missing = Annotated[
    tuple[str, ...],
    Meta(description="other servers of the same Redis that have not said in time what they have"),
]
After = Annotated[str, Meta(max_length=256, description="`next` of the page before")]


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Something that the API takes."""


class Told(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Something that the API answers. Every field is always there."""


class Page(Given, frozen=True, kw_only=True):
    """Which part of a list is asked for."""

    limit: Limit = 100
    after: After | None = None


# Policies


class PolicyGiven(Given, frozen=True, kw_only=True):
    """Who may enter a room, as what, and how many (docs/access.md). What is left out has its default."""

    enter: Annotated[Enter, Meta(description="what people need to enter")] = Enter.ANYONE
    password: Annotated[
        Password | None, Meta(description="the room's password, of which the server keeps only the hash")
    ] = None
    password_hash: Annotated[
        Hash | None, Meta(description="or its Argon2id hash, as `roomfsm password` prints it")
    ] = None
    invited: Annotated[
        tuple[Subject, ...], Meta(max_length=10_000, description="the subjects of the tokens that may enter")
    ] = ()
    role: Annotated[Role, Meta(description="the role of people without a token")] = Role.PRESENTER
    lobby: Annotated[bool, Meta(description="people wait until a moderator admits them")] = False
    locked: Annotated[bool, Meta(description="nobody but moderators may enter")] = False
    listed: Annotated[bool, Meta(description="the start page lists the room")] = True
    files: Annotated[bool, Meta(description="people may send files to the chat")] = True
    max_people: Annotated[Number | None, Meta(description="null stands for the server's setting")] = None
    max_presenters: Annotated[Number | None, Meta(description="null stands for the server's setting")] = None
    linger: Annotated[
        Annotated[float, Meta(ge=0, le=_MANY)] | None,
        Meta(description="how many seconds it stays open when it is empty; null stands for the server's setting"),
    ] = None
    first_moderates: Annotated[
        bool, Meta(description="whoever has been there longest moderates while no other moderator is there")
    ] = True

    def policy(self) -> Policy:
        """The policy itself. It takes some 20 ms if there is a password. Raises `Problem`."""
        fields = msgspec.structs.asdict(self)
        password = fields.pop("password")
        if self.password_hash is not None:
            wrong = hash_fault(self.password_hash)
            if wrong is not None or password is not None:
                detail = f"it {wrong}" if wrong is not None else _BOTH
                raise Problem(ErrorCode.MALFORMED, detail, path="$.passwordHash")
        try:
            # A contradiction is found before the password is hashed.
            Policy(**{**fields, "password_hash": password or self.password_hash})
            if password is not None:
                fields["password_hash"] = hash_password(password)
            return Policy(**fields)
        except PolicyFault as fault:
            raise Problem(ErrorCode.MALFORMED, str(fault), path=_path(fault)) from None


PolicyChange = msgspec.defstruct(
    "PolicyChange",
    [(one.name, one.type | None | UnsetType, UNSET) for one in msgspec.structs.fields(PolicyGiven)],
    bases=(Given,),
    namespace={
        "__doc__": "What changes in a room's policy: a merge patch (RFC 7396). What is left out stays as it is, "
        "the password included, and null stands for the default."
    },
    frozen=True,
    kw_only=True,
)


def changes(given: Any) -> dict[str, Any]:
    """The fields of `Policy` that a `PolicyChange` gives, each with its new value.

    It takes some 20 ms if there is a password. Raises `Problem`.
    """
    defaults = msgspec.structs.asdict(PolicyGiven())
    fields = {
        name: defaults[name] if value is None else value
        for name, value in msgspec.structs.asdict(given).items()
        if value is not UNSET
    }
    if isinstance(given.password_hash, str):
        wrong = hash_fault(given.password_hash)
        if wrong is not None:
            raise Problem(ErrorCode.MALFORMED, f"it {wrong}", path="$.passwordHash")
    if "password" in fields:
        if "password_hash" in fields:
            raise Problem(ErrorCode.MALFORMED, _BOTH, path="$.passwordHash")
        password = fields.pop("password")
        fields["password_hash"] = None if password is None else hash_password(password)
    return fields


def changed(policy: Policy, fields: dict[str, Any]) -> Policy:
    """The policy with those fields changed. Raises `WrongPolicy`."""
    try:
        return replace(policy, **fields)
    except PolicyFault as fault:
        detail = str(fault)
        if fault.key == "enter" and "enter" in fields:
            # What stands in the way is in the policy before, which the request does not show.
            kept = "password" if policy.password_hash is not None else "invited"
            detail += f' The policy before has it: give "{kept}": null, too, to take it away.'
        raise WrongPolicy(detail, _path(fault)) from None


def _path(fault: PolicyFault) -> str:
    return f"$.{_CAMEL['password' if fault.key == 'password_hash' else fault.key]}"


_CAMEL = dict(zip(PolicyGiven.__struct_fields__, PolicyGiven.__struct_encode_fields__, strict=True))


class PolicyTold(Told, frozen=True, kw_only=True):
    """A policy, without its password. null stands for the server's setting."""

    enter: Enter
    invited: tuple[str, ...]
    role: Role
    lobby: bool
    locked: bool
    listed: bool
    files: bool
    max_people: int | None
    max_presenters: int | None
    linger: float | None
    first_moderates: bool

    @classmethod
    def of(cls, policy: Policy) -> PolicyTold:
        return cls(**{name: getattr(policy, name) for name in cls.__struct_fields__})


class PatternPolicy(Told, frozen=True, kw_only=True):
    """A policy of the settings, and the pattern of the rooms that it is for."""

    pattern: str
    policy: PolicyTold


class Policies(Told, frozen=True, kw_only=True):
    """The policies of the settings, in the order in which they are tried, and that of all other rooms."""

    policies: tuple[PatternPolicy, ...]
    default: PolicyTold
    require_token: Annotated[bool, Meta(description="nobody may enter any room without a token")]


# Rooms


class RoomTold(Told, frozen=True, kw_only=True):
    """A room in a list."""

    name: str
    key: Annotated[str, Meta(description="two names with the same key are the same room")]
    run: Annotated[str, Meta(description="is another one each time that a room of this name is opened")]
    state: Annotated[str, Meta(description="the state of the machine `room`")]
    opened: Moment
    people: Annotated[int, Meta(description="how many are in the room; whoever waits in the lobby is not")]
    away: Annotated[int, Meta(description="how many of the people have lost their connection")]
    waiting: Annotated[int, Meta(description="how many people wait in the lobby")]
    streams: int
    views: int
    locked: bool
    created: Annotated[bool, Meta(description="it was opened by this API")]
    media_server: Annotated[str | None, Meta(description="the address of the media server of its streams")]


class Rooms(Told, frozen=True, kw_only=True):
    """A page of the list of rooms, sorted by their keys."""

    rooms: tuple[RoomTold, ...]
    total: int
    next: str | None
    missing: Missing


class StreamTold(Told, frozen=True, kw_only=True):
    """A stream of a room."""

    id: StreamId
    participant: ParticipantId
    source: Source
    state: Annotated[str, Meta(description="the state of the machine `stream`")]
    viewers: int


class BanTold(Told, frozen=True, kw_only=True):
    """Somebody who may not enter the room until a moment."""

    participant: ParticipantId
    name: str
    until: Moment


class RoomInFull(Told, frozen=True, kw_only=True):
    """A room with its policy, its streams and its bans. Its people are a list of their own."""

    room: RoomTold
    policy: PolicyTold
    own_policy: Annotated[bool, Meta(description="the policy was given by this API, and not by the settings")]
    streams: tuple[StreamTold, ...]
    bans: tuple[BanTold, ...]


class CreateRoom(Given, frozen=True, kw_only=True):
    """A room to open. Without a policy it has that of the settings."""

    name: RoomName
    policy: PolicyGiven | None = None


class CloseRoom(Given, frozen=True, kw_only=True):
    """Why the room is closed."""

    reason: Reason = "administrator"


class Lock(Given, frozen=True, kw_only=True):
    """Whether nobody but moderators may enter."""

    locked: bool


class Locked(Told, frozen=True, kw_only=True):
    """Whether nobody but moderators may enter."""

    locked: bool


# People


class PersonTold(Told, frozen=True, kw_only=True):
    """A person in a room."""

    id: ParticipantId
    name: str
    role: Role
    subject: Annotated[str | None, Meta(description="the subject of the person's token")]
    away: Annotated[bool, Meta(description="the connection is lost, and the session may still be resumed")]
    hand: Annotated[int | None, Meta(description="the number of the raised hand; smaller ones are older")]
    streams: tuple[StreamId, ...]
    views: int


class People(Told, frozen=True, kw_only=True):
    """A page of the list of people, in the order in which they entered."""

    people: tuple[PersonTold, ...]
    total: int
    next: str | None


class GiveRole(Given, frozen=True, kw_only=True):
    """The role that a person shall have."""

    role: Role


class BanPerson(Given, frozen=True, kw_only=True):
    """For how long the person may not enter. Without it, the setting `--ban-seconds` counts."""

    seconds: BanSeconds | None = None


# Tokens


class IssueToken(Given, frozen=True, kw_only=True):
    """What a token shall say (docs/access.md)."""

    room: Annotated[
        str, Meta(min_length=1, max_length=64, description="the room's name, or a pattern such as board-*")
    ]
    role: Role = Role.PRESENTER
    name: DisplayName | None = None
    subject: Subject | None = None
    ttl: Annotated[int, Meta(ge=1, le=MAX_TTL, description="for how many seconds one can enter with it")] = 7200


class TokenTold(Told, frozen=True, kw_only=True):
    """A token. It is not kept, and cannot be taken back before it expires."""

    token: str
    expires: Annotated[int, Meta(description="seconds since 1970 (UTC), as in the claim `exp`")]
    path: Annotated[
        str | None, Meta(description="what follows the server's address in a link; null for several rooms")
    ]


# What somebody would get


class Explain(Given, frozen=True, kw_only=True):
    """Somebody who would enter a room."""

    room: RoomName
    token: AccessToken | None = None
    knows_password: bool = False


class RefusalTold(Told, frozen=True, kw_only=True):
    """Why the person would not get in, as in the message `error`."""

    code: str
    detail: str


class Explained(Told, frozen=True, kw_only=True):
    """What the person would get now, by the room's table."""

    room: str
    open: Annotated[bool, Meta(description="a room of this name is open")]
    policy: PolicyTold
    role: Annotated[Role | None, Meta(description="the role that the person would have; null if refused")]
    waits: Annotated[bool, Meta(description="the person would wait in the lobby until a moderator decides")]
    subject: str | None
    name: Annotated[str | None, Meta(description="the name in the token")]
    refusal: RefusalTold | None


# The server


class AddMediaServer(Given, frozen=True, kw_only=True):
    """A media server to use from now on, until the server ends; or at all nodes, until it is taken away."""

    url: Annotated[str, Meta(max_length=2048, description="such as ws://10.0.0.7:8888/kurento")]
    secret: Annotated[
        Secret | None,
        Meta(description="what it asks for; without this none is sent, not that of --kurento-secret either"),
    ] = None


class MediaServerTold(Told, frozen=True, kw_only=True):
    """A media server. `id` is the same at all nodes, and `number` is that of this server's health and metrics."""

    id: str
    number: int
    url: str
    origin: Annotated[
        str,
        Meta(
            description="why the server knows it: `settings` (--kurento), `embedded`, `added` (by this API), or "
            "`nodes` (other nodes have it in their settings)"
        ),
    ]
    nodes: Annotated[tuple[str, ...], Meta(description="the ids of the nodes that have it in their settings")]
    state: Annotated[str, Meta(description="the state of the machine `mediaServer`")]
    connected: bool
    problem: Annotated[str | None, Meta(description="why it gets no new pipelines; null if it gets them")]
    version: str | None
    pipelines: int
    endpoints: int
    busy: Annotated[
        float | None,
        Meta(description="the percent of its processor's cores that it uses; null if that is not known"),
    ]


class MediaServers(Told, frozen=True, kw_only=True):
    """All media servers."""

    media_servers: tuple[MediaServerTold, ...]


class ServerTold(Told, frozen=True, kw_only=True):
    """The server in a few numbers."""

    version: str
    state: Annotated[str, Meta(description="the state of the machine `server`")]
    since: Annotated[float, Meta(description="for how many seconds it has been in that state")]
    ready: Annotated[bool, Meta(description="what /health/ready says")]
    sessions: int
    rooms: int
    people: int
    streams: int
    views: int
    media_servers: int
    nodes: Annotated[
        int, Meta(description="of how many servers these are the sessions, rooms, people, streams and views")
    ]
    missing: Missing


class Numbers(Told, frozen=True, kw_only=True):
    """What one server tells another one."""

    sessions: int
    rooms: int
    people: int
    streams: int
    views: int
