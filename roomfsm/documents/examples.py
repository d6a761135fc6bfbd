"""A story with an example of every message. A test plays it with a real server and two real clients."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from roomfsm.lifecycle.legality import allowed
from roomfsm.protocol import SUBPROTOCOL, client, server
from roomfsm.protocol.client import ClientMessage
from roomfsm.protocol.errors import ErrorCode
from roomfsm.protocol.fields import Size, Source, stream_id
from roomfsm.protocol.reactions import Reaction
from roomfsm.protocol.roles import Role
from roomfsm.protocol.server import (
    ChatLine,
    IceServer,
    Limits,
    ParticipantInfo,
    ReactionInfo,
    ServerMessage,
    StreamInfo,
)


class Happening(StrEnum):
    """Events other than messages."""

    CONNECTS = "opens a websocket"
    MEDIA_FLOW = "has a media connection, and media flow"
    BYTES_SENT = "sends the bytes of the file by an HTTP PUT"
    IS_CUT_OFF = "loses the connection"
    SERVER_ENDS = "sees the server end"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the story: what `who` sends, gets or experiences."""

    who: str
    what: ClientMessage | ServerMessage | Happening


ADA, BOB = "p4c1f0e2b9a7d3568", "p9b37d05c2e81f6a4"
ADAS_TOKEN, BOBS_TOKEN = "kB3v0cYw1mXn8sQe5uTz7rAf2hLd6pGj", "Wq9xJ4tVb2NfR7yKs0ZcM5gHd8LpE1uo"
CAMERA = stream_id(ADA, Source.CAMERA)
SAID_AT = 1_767_225_600_000


def _sdp(direction: str, setup: str, ufrag: str) -> str:
    """A session description that is reduced to a short example: one video section, without parameters of
    codecs.
    """
    lines = (
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{ufrag * 6}",
        f"a=fingerprint:sha-256 {':'.join(['4F', 'A1', '0B', '9C'] * 8)}",
        f"a=setup:{setup}",
        "a=mid:0",
        f"a={direction}",
        "a=rtcp-mux",
        "a=rtpmap:96 VP8/90000",
    )
    return "".join(f"{line}\r\n" for line in lines)


_ada, _bob, _robert = (
    ParticipantInfo(id=ADA, name="Ada", role=Role.MODERATOR),
    ParticipantInfo(id=BOB, name="Bob"),
    ParticipantInfo(id=BOB, name="Robert"),
)
_viewer = ParticipantInfo(id=BOB, name="Robert", role=Role.VIEWER)
_hello = ChatLine(seq=1, participant=BOB, name="Bob", text="Hello Ada!", at=SAID_AT)
_answer = ChatLine(seq=2, participant=ADA, name="Ada", text="Hello Rob!", at=SAID_AT, reply_to=1)
_secret = ChatLine(seq=2, participant=BOB, name="Bob", text="Bob, not Rob.", at=SAID_AT, to=ADA)


def _heard(sound: str) -> ParticipantInfo:
    return ParticipantInfo(id=BOB, name="Robert", role=Role.VIEWER, microphone=True, camera=False, sound=sound)


def _camera(state: str, viewers: int = 0) -> StreamInfo:
    return StreamInfo(id=CAMERA, participant=ADA, source=Source.CAMERA, state=state, generation=1, viewers=viewers)


_STUN = IceServer(urls=("stun:stun.example.org:3478",))
ICE_SERVERS = (_STUN, IceServer(urls=("turn:turn.example.org:3478",), username="user", credential="secret"))

WELCOME = server.Welcome(
    protocol=SUBPROTOCOL,
    server="roomfsm/0.1.0",
    session=ADA,
    resume_token=ADAS_TOKEN,
    resume_window=30.0,
    heartbeat=20.0,
    ice_servers=(_STUN,),
    limits=Limits(
        message_bytes=262_144,
        message_burst=500,
        message_rate=100.0,
        chat_text=4000,
        display_name=64,
        people=500,
        presenters=16,
        told_burst=150,
        told_rate=15.0,
        told_bytes=163_840,
        views=32,
        candidates=64,
        file_bytes=26_214_400,
    ),
)

_entering = (
    Line("Ada", Happening.CONNECTS),
    Line("Ada", WELCOME),
    Line("Ada", client.Join(room="blue", name="Ada", ref=1)),
    Line(
        "Ada",
        server.Joined(
            room="blue",
            key="blue",
            you=ADA,
            state="waiting",
            participants=(_ada,),
            streams=(),
            chat=(),
            ice_servers=ICE_SERVERS,
            files=True,
            layers=3,
            ref=1,
        ),
    ),
    Line("Ada", server.RoomState(state="waiting", participants=1, streams=0)),
)

_publishing = (
    Line("Ada", client.Publish(source=Source.CAMERA, sdp=_sdp("sendonly", "actpass", "aDa1"), ref=2)),
    Line("Ada", server.StreamStarted(stream=_camera("negotiating"))),
    Line("Ada", server.RoomState(state="broadcasting", participants=1, streams=1)),
    Line("Ada", server.Answer(stream=CAMERA, sdp=_sdp("recvonly", "passive", "mEd1"), ref=2)),
    Line(
        "Ada",
        server.CandidateFound(
            stream=CAMERA,
            candidate="candidate:1 1 UDP 2130706431 192.0.2.10 40000 typ host",
            sdp_mid="0",
            sdp_m_line_index=0,
        ),
    ),
    Line(
        "Ada",
        client.Candidate(
            stream=CAMERA,
            candidate="candidate:1 1 udp 2122260223 192.0.2.20 51000 typ host",
            sdp_mid="0",
            sdp_m_line_index=0,
            username_fragment="aDa1",
        ),
    ),
    Line("Ada", Happening.MEDIA_FLOW),
    Line("Ada", server.StreamChanged(stream=_camera("live"))),
)

_meeting = (
    Line("Bob", Happening.CONNECTS),
    Line("Bob", client.Join(room="blue", name="Bob", ref=1)),
    Line("Ada", server.ParticipantJoined(participant=_bob)),
    Line(
        "Bob",
        server.Joined(
            room="blue",
            key="blue",
            you=BOB,
            state="broadcasting",
            participants=(_ada, _bob),
            streams=(_camera("live"),),
            chat=(),
            ice_servers=ICE_SERVERS,
            files=True,
            layers=3,
            ref=1,
        ),
    ),
    Line("Bob", client.Chat(text="Hello Ada!", ref=2)),
    Line("Bob", server.ChatSaid(line=_hello, ref=2)),
    Line("Ada", server.ChatSaid(line=_hello)),
    Line("Ada", client.Chat(text="Hello Rob!", reply_to=1, ref="answer")),
    Line("Ada", server.ChatSaid(line=_answer, ref="answer")),
    Line("Bob", server.ChatSaid(line=_answer)),
    Line("Bob", client.Chat(text="Bob, not Rob.", to=ADA, ref="secret")),
    Line("Bob", server.ChatSaid(line=_secret, ref="secret")),
    Line("Ada", server.ChatSaid(line=_secret)),
    Line("Ada", client.DeleteLine(line=2, ref="oops")),
    Line("Ada", server.LineDeleted(line=2, ref="oops")),
    Line("Bob", server.LineDeleted(line=2)),
    Line("Bob", client.Rename(name="Robert", ref=3)),
    Line("Bob", server.ParticipantChanged(participant=_robert, ref=3)),
    Line("Ada", server.ParticipantChanged(participant=_robert)),
    Line("Bob", client.View(stream=CAMERA, sdp=_sdp("recvonly", "actpass", "bOb1"), ref=4)),
    Line("Ada", server.StreamChanged(stream=_camera("live", viewers=1))),
    Line("Bob", server.Answer(stream=CAMERA, sdp=_sdp("sendonly", "passive", "mEd2"), ref=4)),
)

_resuming = (
    Line("Bob", Happening.IS_CUT_OFF),
    Line("Ada", server.ParticipantChanged(participant=ParticipantInfo(id=BOB, name="Robert", away=True))),
    Line("Bob", Happening.CONNECTS),
    Line("Bob", client.Resume(token=BOBS_TOKEN, ref=1)),
    Line(
        "Bob",
        server.Joined(
            room="blue",
            key="blue",
            you=BOB,
            state="broadcasting",
            participants=(_ada, _robert),
            streams=(_camera("live", viewers=1),),
            chat=(_hello,),
            resumed=True,
            ice_servers=ICE_SERVERS,
            files=True,
            layers=3,
            ref=1,
        ),
    ),
    Line("Ada", server.ParticipantChanged(participant=_robert)),
    Line("Bob", client.Restart(stream=CAMERA, sdp=_sdp("recvonly", "actpass", "bOb2"), ref=2)),
    Line("Bob", server.Answer(stream=CAMERA, sdp=_sdp("sendonly", "passive", "mEd3"), ref=2)),
)


def _coming_again(ref: int) -> tuple[Line, ...]:
    """Bob enters the room, from which he was put out."""
    return (Line("Bob", client.Join(room="blue", name="Robert", ref=ref)), *_let_in(ref))


def _let_in(ref: int, *, lobby: bool = False) -> tuple[Line, ...]:
    return (
        Line("Ada", server.ParticipantJoined(participant=_robert)),
        Line(
            "Bob",
            server.Joined(
                room="blue",
                key="blue",
                you=BOB,
                state="waiting",
                participants=(_ada, _robert),
                streams=(),
                chat=(),
                ice_servers=ICE_SERVERS,
                files=True,
                layers=3,
                lobby=lobby,
                ref=ref,
            ),
        ),
    )


def _knocking(ref: int) -> tuple[Line, ...]:
    """Bob wants to enter the room, which has a lobby."""
    waits = server.Waiting(participant=BOB, name="Robert", since=SAID_AT)
    return (
        Line("Bob", client.Join(room="blue", name="Robert", ref=ref)),
        Line("Bob", server.Knocking(room="blue", key="blue")),
        Line("Ada", server.LobbyChanged(waiting=(waits,))),
    )


_stopping = (
    Line("Bob", client.EndStream(stream=CAMERA, ref="end")),
    Line(
        "Bob",
        server.Error(
            code=ErrorCode.NOT_PERMITTED,
            detail="only a moderator may do this",
            message="endStream",
            stream=CAMERA,
            role=Role.MODERATOR,
            ref="end",
        ),
    ),
    Line("Bob", client.Adjust(stream=CAMERA, size=Size.NONE, ref="seen")),
    Line("Bob", server.StreamChanged(stream=_camera("live", viewers=1), view="negotiating", ref="seen")),
    Line("Bob", client.Unview(stream=CAMERA, ref=2)),
    Line("Bob", server.StreamChanged(stream=_camera("live"), view="ended", ref=2)),
    Line("Ada", client.Ping(ref=3)),
    Line("Ada", server.Pong(ref=3)),
    Line("Ada", client.Unpublish(stream=CAMERA, ref=4)),
    Line("Ada", server.StreamEnded(stream=CAMERA, reason="unpublished", ref=4)),
    Line("Ada", server.RoomState(state="waiting", participants=2, streams=0)),
    Line("Bob", client.Unview(stream=CAMERA, ref=3)),
    Line(
        "Bob",
        server.Error(
            code=ErrorCode.ILLEGAL_IN_STATE,
            detail="'unview' is not legal while the room is waiting",
            message="unview",
            machine="room",
            state="waiting",
            allowed=allowed("joined", "waiting"),
            stream=CAMERA,
            ref=3,
        ),
    ),
)

_FILE = server.FileInfo(
    name="plan.png", size=48_213, media_type="image/png", path="files/3Fp0kq9vX2aJ5cYw1LmZtR7uB8sNdEgH"
)
_sent = ChatLine(seq=3, participant=BOB, name="Robert", text="plan.png", at=SAID_AT, file=_FILE)
_sending = (
    Line("Bob", client.SendFile(name="plan.png", size=48_213, ref="plan")),
    Line("Bob", server.Upload(path="files/q8ZbT4hVn0rKx6MCe2WfYs9GjD5uL1pA", seconds=60.0, ref="plan")),
    Line("Bob", Happening.BYTES_SENT),
    Line("Bob", server.ChatSaid(line=_sent)),
    Line("Ada", server.ChatSaid(line=_sent)),
)

_moderating = (
    Line("Bob", client.RaiseHand(ref=4)),
    Line("Bob", server.ParticipantChanged(participant=ParticipantInfo(id=BOB, name="Robert", hand=1), ref=4)),
    Line("Ada", server.ParticipantChanged(participant=ParticipantInfo(id=BOB, name="Robert", hand=1))),
    Line("Ada", client.LowerHand(participant=BOB, ref=5)),
    Line("Ada", server.ParticipantChanged(participant=_robert, ref=5)),
    Line("Bob", server.ParticipantChanged(participant=_robert)),
    Line("Bob", client.Lock(ref=5)),
    Line(
        "Bob",
        server.Error(
            code=ErrorCode.NOT_PERMITTED,
            detail="only a moderator may do this",
            message="lock",
            role=Role.MODERATOR,
            ref=5,
        ),
    ),
    Line("Ada", client.SetRole(participant=BOB, role=Role.VIEWER, ref=6)),
    Line("Ada", server.ParticipantChanged(participant=_viewer, ref=6)),
    Line("Bob", server.ParticipantChanged(participant=_viewer)),
    Line("Ada", client.Lock(ref=7)),
    Line("Ada", server.RoomChanged(files=True, locked=True, ref=7)),
    Line("Bob", server.RoomChanged(files=True, locked=True)),
    Line("Ada", client.Unlock(ref=8)),
    Line("Ada", server.RoomChanged(files=True, locked=False, ref=8)),
    Line("Bob", server.RoomChanged(files=True, locked=False)),
    Line("Ada", client.ClearChat(ref=9)),
    Line("Ada", server.ChatCleared(ref=9)),
    Line("Bob", server.ChatCleared()),
    Line("Bob", client.Media(microphone=True, camera=False, ref="on")),
    Line("Bob", server.ParticipantChanged(participant=_heard("audible"), ref="on")),
    Line("Ada", server.ParticipantChanged(participant=_heard("audible"))),
    Line("Bob", client.Speaking(speaking=True)),
    Line("Ada", server.SpeakingNow(participants=(BOB,))),
    Line("Bob", server.SpeakingNow(participants=(BOB,))),
    Line("Bob", client.React(reaction=Reaction.HEART)),
    Line("Ada", server.Reacted(reactions=(ReactionInfo(participant=BOB, reaction=Reaction.HEART),))),
    Line("Bob", server.Reacted(reactions=(ReactionInfo(participant=BOB, reaction=Reaction.HEART),))),
    Line("Ada", client.Mute(participant=BOB, hold=True, ref="quiet")),
    Line("Ada", server.ParticipantChanged(participant=_heard("held"), ref="quiet")),
    Line("Ada", server.SpeakingNow(participants=())),
    Line("Bob", server.Muted(by=ADA, hold=True)),
    Line("Bob", server.ParticipantChanged(participant=_heard("held"))),
    Line("Ada", client.Unmute(participant=BOB, ref="go on")),
    Line("Ada", server.ParticipantChanged(participant=_heard("audible"), ref="go on")),
    Line("Bob", server.ParticipantChanged(participant=_heard("audible"))),
    Line("Ada", client.Kick(participant=BOB, ref=10)),
    Line("Ada", server.ParticipantLeft(participant=BOB, reason="kicked", ref=10)),
    Line("Bob", server.ParticipantLeft(participant=BOB, reason="kicked")),
    *_coming_again(6),
    Line("Ada", client.Ban(participant=BOB, seconds=600.0, ref=11)),
    Line("Ada", server.ParticipantLeft(participant=BOB, reason="banned", ref=11)),
    Line("Bob", server.ParticipantLeft(participant=BOB, reason="banned")),
    Line("Ada", server.Bans(bans=(server.BanInfo(participant=BOB, name="Robert", until=SAID_AT + 600_000),))),
    Line("Bob", client.Join(room="blue", name="Robert", ref=7)),
    Line(
        "Bob",
        server.Error(code=ErrorCode.BANNED, detail=ErrorCode.BANNED.explanation, message="join", ref=7),
    ),
    Line("Ada", client.Unban(participant=BOB, ref=12)),
    Line("Ada", server.Bans(bans=(), ref=12)),
    Line("Ada", client.Configure(lobby=True, ref=13)),
    Line("Ada", server.RoomChanged(files=True, locked=False, lobby=True, ref=13)),
    *_knocking(8),
    Line("Ada", client.Deny(participant=BOB, ref=14)),
    Line(
        "Bob",
        server.Error(code=ErrorCode.DENIED, detail=ErrorCode.DENIED.explanation, message="join", ref=8),
    ),
    Line("Ada", server.LobbyChanged(waiting=(), ref=14)),
    *_knocking(9),
    Line("Ada", client.Admit(participant=BOB, ref=15)),
    *_let_in(9, lobby=True),
    Line("Ada", server.LobbyChanged(waiting=(), ref=15)),
)

_ending = (
    Line("Bob", client.Switch(room="green", ref=10)),
    Line("Ada", server.ParticipantLeft(participant=BOB, reason="switched")),
    Line(
        "Bob",
        server.Joined(
            room="green",
            key="green",
            you=BOB,
            state="waiting",
            participants=(ParticipantInfo(id=BOB, name="Robert", role=Role.MODERATOR),),
            streams=(),
            chat=(),
            ice_servers=ICE_SERVERS,
            files=True,
            layers=3,
            ref=10,
        ),
    ),
    Line("Ada", client.Leave(ref=16)),
    Line("Ada", server.ParticipantLeft(participant=ADA, reason="left", ref=16)),
    Line("Bob", client.CloseRoom(ref=11)),
    Line("Bob", server.Closing(scope="room", reason="moderator", ref=11)),
    Line("Bob", Happening.SERVER_ENDS),
    Line("Bob", server.Closing(scope="server", reason="shutdown")),
)

STORY: tuple[Line, ...] = (
    *_entering,
    *_publishing,
    *_meeting,
    *_resuming,
    *_stopping,
    *_sending,
    *_moderating,
    *_ending,
)
"""Ada presents in the room "blue". Bob comes, says hello, views her stream, loses his connection, comes back, and
continues. He sends a picture to the chat. Ada moderates the room, puts Bob out, and lets him in again over the
lobby."""

APART: tuple[Line, ...] = (
    Line("Ada", server.LayersWanted(stream=CAMERA, layers=("l", "h"))),
    Line("Ada", server.Answer(stream=CAMERA, sdp=_sdp("recvonly", "passive", "mEd1"), hears=True, ref=2)),
)
"""Messages that are not in the story, because Ada sends one layer of her picture, and no levels of her sound."""


def wire(message: ClientMessage | ServerMessage) -> dict[str, Any]:
    """The message as the JSON object that is sent."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(message))
    return plain


def examples_of(message: type[ClientMessage] | type[ServerMessage]) -> list[dict[str, Any]]:
    """The different messages of that class in the story, or apart from it, in the form in which they are sent."""
    found: list[dict[str, Any]] = []
    for line in (*STORY, *APART):
        if isinstance(line.what, message) and (example := wire(line.what)) not in found:
            found.append(example)
    return found
