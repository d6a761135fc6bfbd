"""A room according to the specification: for each action in it, who must be told what, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from roomfsm.conformance import http
from roomfsm.conformance.outcome import Failed, Message, NotReachable, shown
from roomfsm.conformance.scene import Scene
from roomfsm.conformance.spec import Row, Tell
from roomfsm.conformance.wire import Client, Expected, Ref, Where
from roomfsm.peer import AnswerInvalid, HandshakeFailed, Peer

type Facts = Mapping[str, Message | Sequence[Message]]
"""The required fields of a message by its type, or by `type/audience`. It is a list if there are several
messages."""


@dataclass(eq=False, slots=True)
class Leg:
    """A stream or a view: the peer at this end, and the server's answer."""

    id: str
    client: Client
    peer: Peer
    answer: str = ""
    state: str = "negotiating"
    """The state as people are told it."""
    paused: bool = False
    """Whether its viewer does not want the picture."""


@dataclass(eq=False, slots=True)
class Stream(Leg):
    """A published stream."""

    source: str = "camera"
    views: list[Leg] = field(default_factory=list)

    def info(self) -> Message:
        """The stream as everybody must see it."""
        return {
            "id": self.id,
            "participant": self.client.me,
            "source": self.source,
            "state": self.state,
            "viewers": len(self.views),
        }


class Room:
    """A room and the people in it, according to the tables."""

    def __init__(self, scene: Scene, name: str | None = None) -> None:
        self.scene = scene
        self.name = name or scene.room_name()
        self.machine = scene.spec.machines["room"]
        self.state = self.machine.initial
        self.members: list[Client] = []
        self.moderators: set[str] = set()
        """The ids of the moderators."""
        self.deleted: set[object] = set()
        """The numbers of the lines of chat that were deleted."""
        self.speakers: set[str] = set()
        self.silenced: dict[str, str] = {}
        """The state of the sound of those whom a moderator has muted."""
        self.streams: dict[str, Stream] = {}
        self.lobby: dict[str, tuple[Client, Ref]] = {}
        """Who waits in the lobby, by id, with the `ref` of the join."""

    # People

    async def enter(self, name: str) -> Client:
        """Connect a client, and let it join."""
        client = await self.scene.connect(name)
        await self.join(client)
        return client

    async def join(self, client: Client) -> None:
        """Let a client join, and check who is told."""
        ref = await client.send("join", room=self.name, name=client.name)
        await self.admitted(client, ref, "join")

    async def admitted(self, client: Client, ref: Ref, asked: str) -> None:
        """Add a newcomer to the room, who asked by `join` or `switch`, and check who is told."""
        before = list(self.members)
        if not self.members:
            self.moderators = {client.me}
        self.members.append(client)
        dest = "waiting" if self.state == "empty" else self.state
        facts: Facts = {"participantJoined": {"participant": person(client)}, "joined": self.snapshot(dest)}
        await self.told("join", dest, facts, people=[*before, client], asker=client, ref=ref, asked=asked)

    async def leave(self, client: Client) -> None:
        """Let a member leave, and check who is told."""
        ref = await client.send("leave")
        await self.left(client, "left", asker=client, ref=ref)

    async def left(self, client: Client, reason: str, asker: Client | None = None, ref: Ref | None = None) -> None:
        """Remove a member. The others must be told, and the member too if it asked by `leave`."""
        people = [member for member in self.members if member is not client or asker is not None]
        self.members.remove(client)
        changed, ended, promoted = [], [], []
        for stream in list(self.streams.values()):
            if stream.client is client:
                del self.streams[stream.id]
                ended.append({"stream": stream.id, "reason": "left"})
            elif any(view.client is client for view in stream.views):
                stream.views = [view for view in stream.views if view.client is not client]
                changed.append({"stream": stream.info()})
        self.moderators.discard(client.me)
        if self.members and not self.moderators:
            # The person who has been there longest becomes a moderator.
            self.moderators = {self.members[0].me}
            promoted = [self.members[0]]
        facts: Facts = {
            "streamChanged": changed,
            "streamEnded": ended,
            "participantLeft": {"participant": client.me, "reason": reason},
            "participantChanged": [{"participant": {"id": one.me, "role": "moderator"}} for one in promoted],
        }
        await self.told("leave", self._rest(), facts, people=people, asker=client, ref=ref)

    async def switch(self, client: Client, other: Room) -> None:
        """Let a member go to another room, and check who is told."""
        ref = await client.send("switch", room=other.name)
        await other.admitted(client, ref, "switch")
        await self.left(client, "switched")

    async def rename(self, client: Client, name: str, told: str | None = None) -> None:
        """Change a member's name. Everybody must be told the name, or `told` instead."""
        ref = await client.send("rename", name=name)
        client.name = told or name
        facts = {"participantChanged": {"participant": person(client)}}
        await self.told("rename", self.state, facts, asker=client, ref=ref)

    async def chat(self, client: Client, text: str = "hello", answers: int | None = None) -> int:
        """Let a member say something, and return the number of the line. `answers` is the line that it answers.

        It must be the next message for everybody, so nobody may have got another one before.
        """
        ref = await client.send("chat", text=text, **({} if answers is None else {"replyTo": answers}))
        line = {"participant": client.me, "name": client.name, "text": text, "to": None, "replyTo": answers}
        said = await self.told("chat", self.state, {"chat/all": {"line": line}}, asker=client, ref=ref)
        number = said[-1]["line"].get("seq")
        if not isinstance(number, int) or isinstance(number, bool):
            raise Failed("a line of chat with a number", shown(said[-1]))
        return number

    async def whisper(self, client: Client, to: Client, text: str = "psst", answers: int | None = None) -> None:
        """Let a member say something in private to another one. Nobody else may get anything."""
        fields = {"text": text, "to": to.me} | ({} if answers is None else {"replyTo": answers})
        ref = await client.send("chat", **fields)
        line = {"participant": client.me, "name": client.name, "text": text, "to": to.me, "replyTo": answers}
        facts: Facts = {"chat/asker": {"line": line}, "chat/owner": {"line": line}}
        await self.told("chat", self.state, facts, asker=client, owner=to, ref=ref)
        for member in self.members:
            if not member.gone:
                await member.quiet()

    async def send_file(
        self,
        client: Client,
        name: str,
        content: bytes,
        *,
        to: Client | None = None,
        media_type: str | None = None,
        told: str | None = "",
    ) -> Message:
        """Let a member send a file, and check who is told. Returns the line of chat.

        `told` is the name under which it is told, if that is not `name`; None stands for any.
        """
        path = await self.announce_file(client, name, len(content), to)
        return await self.bring_file(client, path, name if told == "" else told, content, to, media_type)

    async def announce_file(self, client: Client, name: str, size: int, to: Client | None = None) -> str:
        """Let a member announce a file, and check that nobody else is told. Returns where the bytes go."""
        fields: Message = {"name": name, "size": size} | ({} if to is None else {"to": to.me})
        ref = await client.send("sendFile", **fields)
        path = Where("a path", lambda path: isinstance(path, str) and path != "")
        told = await self.told("sendFile", self.state, {"upload": {"path": path}}, asker=client, ref=ref)
        return str(told[-1]["path"])

    async def bring_file(
        self,
        client: Client,
        path: str,
        name: str | None,
        content: bytes,
        to: Client | None = None,
        media_type: str | None = None,
    ) -> Message:
        """Let a member bring the bytes of a file, and check who is told. Returns the line of chat."""
        reply = await http.ask(self.scene.plan.target, "PUT", path, content)
        if reply is None or not 200 <= reply.status < 300:
            raise Failed("that the bytes are taken", str(reply))
        file: Message = {"size": len(content)} | ({} if media_type is None else {"mediaType": media_type})
        line: Message = {"participant": client.me, "to": None if to is None else to.me, "file": file}
        if name is not None:
            line["text"] = file["name"] = name
        facts: Facts = {"chat/all": {"line": line}}
        if to is not None:
            facts = {"chat/asker": {"line": line}, "chat/owner": {"line": line}}
        said = await self.told("file_arrived", self.state, facts, asker=client, owner=to)
        told: Message = said[-1]["line"]
        return told

    async def lose(self, client: Client) -> None:
        """Cut a member's connection, and check who is told."""
        await client.cut()
        facts: dict[str, Message | Sequence[Message]] = {
            "participantChanged": {"participant": person(client, away=True)}
        }
        if client.me in self.speakers:
            self.speakers.remove(client.me)
            facts["speaking"] = self._speaking()
        await self.told("away", self.state, facts, people=self._others(client), asker=client)

    async def resume(self, client: Client, back: Client | None = None) -> Client:
        """Let a member resume over another connection, which is returned."""
        back = back or await self.scene.connect(client.name)
        ref = await back.send("resume", token=client.welcome["resumeToken"])
        self.replace(client, back)
        facts: Facts = {
            "joined": self.snapshot(self.state, resumed=True),
            "participantChanged": {"participant": person(back)},
        }
        await self.told("back", self.state, facts, asker=back, ref=ref, asked="resume")
        return back

    def replace(self, client: Client, back: Client) -> None:
        """Replace a member's connection."""
        back.me = client.me
        back.legs = client.legs
        self.members[self.members.index(client)] = back
        for stream in self.streams.values():
            for leg in (stream, *stream.views):
                if leg.client is client:
                    leg.client = back

    # Moderators, and what people may do by role

    async def raise_hand(self, client: Client) -> None:
        """Let a member raise the hand, and check who is told."""
        up = Where("a number from 1", lambda n: isinstance(n, int) and n >= 1)
        ref = await client.send("raiseHand")
        await self.decided(
            "raiseHand", {"participantChanged": {"participant": {"id": client.me, "hand": up}}}, client, ref
        )

    async def lower_hand(self, client: Client, whose: Client) -> None:
        """Let a member lower the own hand, or a moderator that of another, and check who is told."""
        ref = await client.send("lowerHand", **({} if client is whose else {"participant": whose.me}))
        facts = {"participantChanged": {"participant": {"id": whose.me, "hand": None}}}
        await self.decided("lowerHand", facts, client, ref)

    async def media(self, client: Client, microphone: bool, camera: bool = False) -> None:
        """Let a member tell whether microphone and camera are on, and check who is told.

        Somebody who is muted, and may turn the microphone on, is heard again then.
        """
        ref = await client.send("media", microphone=microphone, camera=camera)
        if microphone:
            self.silenced.pop(client.me, None)
        facts: dict[str, Message | Sequence[Message]] = {
            "participantChanged": {
                "participant": {
                    "id": client.me,
                    "microphone": microphone,
                    "camera": camera,
                    "sound": self._sound_of(client),
                }
            }
        }
        if not microphone and client.me in self.speakers:
            self.speakers.remove(client.me)
            facts["speaking"] = self._speaking()
        await self.decided("media", facts, client, ref)

    async def speak(self, client: Client, speaking: bool = True) -> None:
        """Let a member begin or cease to speak, and check that everybody is told who speaks."""
        (self.speakers.add if speaking else self.speakers.discard)(client.me)
        ref = await client.send("speaking", speaking=speaking)
        await self.decided("speaking", {"speaking": self._speaking()}, client, ref)

    async def react(self, client: Client, reaction: str) -> None:
        """Let a member show a reaction, and check that everybody is told who shows what."""
        ref = await client.send("react", reaction=reaction)
        shown = [{"participant": client.me, "reaction": reaction}]
        await self.decided("react", {"reacted": {"reactions": shown}}, client, ref)

    async def mute(self, moderator: Client, client: Client, *, hold: bool = False) -> None:
        """Let a moderator mute a member, and check who is told."""
        ref = await moderator.send("mute", participant=client.me, hold=hold)
        self.silenced[client.me] = "held" if hold else "muted"
        facts: dict[str, Message | Sequence[Message]] = {
            "muted": {"by": moderator.me, "hold": hold},
            "participantChanged": {"participant": {"id": client.me, "sound": self._sound_of(client)}},
        }
        if client.me in self.speakers:
            self.speakers.remove(client.me)
            facts["speaking"] = self._speaking()
        await self.decided("mute", facts, moderator, ref, owner=client)

    async def unmute(self, moderator: Client, client: Client) -> None:
        """Let a moderator end that a member is muted, and check who is told."""
        ref = await moderator.send("unmute", participant=client.me)
        self.silenced.pop(client.me, None)
        facts = {"participantChanged": {"participant": {"id": client.me, "sound": self._sound_of(client)}}}
        await self.decided("unmute", facts, moderator, ref)

    def _sound_of(self, client: Client) -> Where:
        sound = self.silenced.get(client.me, "audible")
        # A field that has its default value may be missing.
        return Where(sound, lambda found: (found or "audible") == sound)

    def _speaking(self) -> Message:
        speakers = set(self.speakers)
        return {
            "participants": Where(f"{sorted(speakers)}", lambda found: _texts(found) == speakers),
        }

    async def put_out(self, moderator: Client, client: Client, message: str, **how: object) -> None:
        """Let a moderator put a member out by `kick` or `ban`, and check who is told."""
        ref = await moderator.send(message, participant=client.me, **how)
        reason = {"kick": "kicked", "ban": "banned"}[message]
        self.members.remove(client)
        self.moderators.discard(client.me)
        facts: Facts = {
            "participantLeft": {"participant": client.me, "reason": reason},
            "bans": {"bans": Where("the ban", lambda bans: client.me in _banned(bans))},
        }
        await self.decided(message, facts, moderator, ref, owner=client)

    async def unban(self, moderator: Client, client: Client) -> None:
        """Let a moderator end a ban, and check who is told."""
        ref = await moderator.send("unban", participant=client.me)
        facts = {"bans": {"bans": Where("no ban", lambda bans: client.me not in _banned(bans))}}
        await self.decided("unban", facts, moderator, ref)

    async def set_role(self, moderator: Client, client: Client, role: str) -> None:
        """Let a moderator give a member a role, and check who is told."""
        ref = await moderator.send("setRole", participant=client.me, role=role)
        # A presenter is what people are if nothing else is said.
        told = Where(role, lambda found: (found or "presenter") == role)
        (self.moderators.add if role == "moderator" else self.moderators.discard)(client.me)
        facts: Facts = {
            "participantChanged": {"participant": {"id": client.me, "role": told}},
        }
        await self.decided("setRole", facts, moderator, ref, owner=client)

    async def knock(self, client: Client, asked: str = "join") -> None:
        """Let a client knock, and check that it waits and that only the moderators are told."""
        ref = await client.send(asked, room=self.name, **({"name": client.name} if asked == "join" else {}))
        self.lobby[client.me] = client, ref
        row = self._row_telling("join", "knocking")
        await client.expect(*self._expected(row, {"knocking": {"room": self.name}}, client, client, None))
        await self._moderators_see(row)

    async def give_up(self, client: Client, *, how: str = "leave") -> None:
        """Let a client wait no longer (by `leave`, or without a word), and check who is told."""
        _, asked = self.lobby.pop(client.me)
        row = self._row_telling("leave", "lobby")
        if how == "leave":
            ref = await client.send("leave")
            await client.expect(
                Expected("error", {"code": "ended", "ref": asked}),
                Expected("participantLeft", {"participant": client.me, "reason": "left", "ref": ref}),
            )
        await self._moderators_see(row)

    async def admit(self, moderator: Client, *clients: Client) -> None:
        """Let a moderator admit everybody who waits, or only one, and check who is told."""
        named = {"participant": clients[0].me} if len(clients) == 1 else {}
        ref = await moderator.send("admit", **named)
        for client in clients:
            _, asked = self.lobby.pop(client.me)
            for member in self.members:
                fields = {"participant": person(client), "ref": None}
                await member.expect(Expected("participantJoined", fields))
            self.members.append(client)
            await client.expect(Expected("joined", {**self.snapshot(self.state), "ref": asked}))
        await self._moderators_see(self.scene.spec.machines["seat"].of("admit"), moderator, ref)

    async def deny(self, moderator: Client, *clients: Client, **how: object) -> None:
        """Let a moderator deny everybody who waits, or only one (for a time), and check who is told."""
        named = {"participant": clients[0].me} if len(clients) == 1 else {}
        ref = await moderator.send("deny", **named, **how)
        for client in clients:
            _, asked = self.lobby.pop(client.me)
            await client.expect(Expected("error", {"code": "denied", "ref": asked}))
        banned = {client.me for client in clients} if "seconds" in how else set()
        await self._moderators_see(self.scene.spec.machines["seat"].of("deny"), moderator, ref, banned)

    async def configure(self, moderator: Client, **rules: object) -> None:
        """Let a moderator change the rules of the room, and check who is told."""
        ref = await moderator.send("configure", **rules)
        # A field that has its default value may be missing.
        changed = {name: rule or None for name, rule in rules.items()}
        await self.decided("configure", {"roomChanged": changed}, moderator, ref)

    async def _moderators_see(
        self,
        row: Row | None,
        asker: Client | None = None,
        ref: Ref | None = None,
        banned: Collection[str] = (),
    ) -> None:
        """Check that the moderators, and nobody else, are told who waits, and who is banned by this."""
        if row is None:
            raise NotReachable("the tables have no row for it")
        ids = set(self.lobby)
        seen = Where(f"those of {sorted(ids)}", lambda found: _waiting(found) == ids)
        bans = Where(f"those of {sorted(banned)}", lambda found: _banned(found).issuperset(banned))
        for member in self.members:
            if member.me not in self.moderators:
                continue
            facts: dict[str, Message] = {"lobby": {"waiting": seen, "ref": ref if member is asker else None}}
            if banned:
                facts["bans"] = {"bans": bans}
            told = [tell.message for tell in row.tells if tell.to == "moderators" and tell.message in facts]
            await member.expect(*(Expected(message, facts[message]) for message in told))

    def _row_telling(self, trigger: str, message: str) -> Row:
        """The room's row of that trigger that sends a message of that type."""
        for row in self.machine.rows:
            if (row.trigger, row.source) == (trigger, self.state) and any(t.message == message for t in row.tells):
                return row
        raise NotReachable(f"the room has no row of {trigger} in {self.state} that tells {message}")

    async def lock(self, moderator: Client) -> None:
        """Let a moderator lock the room, and check who is told."""
        ref = await moderator.send("lock")
        await self.decided("lock", {"roomChanged": {"locked": True}}, moderator, ref)

    async def unlock(self, moderator: Client) -> None:
        """Let a moderator unlock the room, and check who is told."""
        ref = await moderator.send("unlock")
        await self.decided("unlock", {"roomChanged": {"locked": False}}, moderator, ref)

    async def clear_chat(self, moderator: Client) -> None:
        """Let a moderator clear the chat, and check who is told."""
        ref = await moderator.send("clearChat")
        await self.decided("clearChat", {}, moderator, ref)

    async def delete_line(self, client: Client, line: int) -> None:
        """Let a moderator, or its speaker, delete a line of chat, and check who is told."""
        ref = await client.send("deleteLine", line=line)
        self.deleted.add(line)
        await self.decided("deleteLine", {"lineDeleted": {"line": line}}, client, ref)

    async def close_as(self, moderator: Client) -> None:
        """Let a moderator close the room, and check who is told."""
        ref = await moderator.send("closeRoom")
        await self.closes("moderator", asker=moderator, ref=ref, asked="closeRoom")

    async def decided(
        self, trigger: str, facts: Facts, asker: Client, ref: Ref, owner: Client | None = None
    ) -> None:
        """Check that everybody gets the messages of a row of the asker's seat."""
        row = self.scene.spec.machines["seat"].row(trigger, "seated", "seated")
        if row is None:
            raise NotReachable(f"a seat has no row of {trigger}")
        out = [] if owner is None or owner in self.members else [owner]
        for client in (*self.members, *out):
            if client.gone:
                continue
            expected = self._expected(row, facts, client, asker, owner)
            if client in out:
                # Only the messages to the owner: the person is in the room no more.
                tells = [tell for tell in row.tells if tell.to == "owner"]
                expected = [
                    Expected(tell.message, dict(one)) for tell in tells for one in _facts(facts, tell, tells)
                ]
            _mark(expected, ref if client is asker else None, self.scene.spec.replies.get(trigger))
            await client.expect(*expected)

    # Streams and views

    async def publish(self, client: Client, source: str = "camera") -> Stream:
        """Let a member publish, and wait for the answer."""
        peer = await self.scene.peer("sendonly")
        stream = Stream(f"{client.me}.{source}", client, peer, source=source)
        client.legs[stream.id] = peer.add_candidate
        ref = await client.send("publish", source=source, sdp=peer.offer)
        await self.started(stream)
        await self.answered(stream, "stream", ref)
        return stream

    async def started(self, stream: Stream) -> None:
        """Add a stream, and check who is told."""
        self.streams[stream.id] = stream
        info = {**stream.info(), "generation": Where("a number from 1", lambda n: isinstance(n, int) and n >= 1)}
        await self.told("publish", "broadcasting", {"streamStarted": {"stream": info}}, asker=stream.client)

    async def unpublish(self, stream: Stream) -> None:
        """Let the presenter end a stream, and check who is told."""
        ref = await stream.client.send("unpublish", stream=stream.id)
        await self.ended(stream, "unpublish", "unpublished", ref)

    async def end_stream(self, moderator: Client, stream: Stream) -> None:
        """Let a moderator end a stream, and check who is told."""
        ref = await moderator.send("endStream", stream=stream.id)
        await self.ended(stream, "endStream", "moderator", ref, asker=moderator)

    async def ended(
        self, stream: Stream, trigger: str, reason: str, ref: Ref | None = None, asker: Client | None = None
    ) -> None:
        """Remove a stream that has ended, and check who is told."""
        del self.streams[stream.id]
        stream.state = "ended"
        dest = "broadcasting" if self.streams else "waiting"
        facts = {"streamEnded": {"stream": stream.id, "reason": reason}}
        await self.told(trigger, dest, facts, asker=asker or stream.client, ref=ref)

    async def view(self, client: Client, stream: Stream) -> Leg:
        """Let a member view a stream, and wait for the answer."""
        peer = await self.scene.peer("recvonly")
        view = Leg(stream.id, client, peer)
        client.legs[stream.id] = peer.add_candidate
        ref = await client.send("view", stream=stream.id, sdp=peer.offer)
        await self.viewed(stream, view)
        await self.answered(view, "view", ref)
        return view

    async def viewed(self, stream: Stream, view: Leg) -> None:
        """Add a view to a stream, and check who is told."""
        stream.views.append(view)
        await self.told("view", self.state, {"streamChanged": {"stream": stream.info()}}, asker=view.client)

    async def unview(self, stream: Stream, view: Leg) -> None:
        """Let the viewer end a view, and check who is told."""
        ref = await view.client.send("unview", stream=stream.id)
        await self.view_ended(stream, view, "unview", ref)

    async def adjust(self, view: Leg, size: str) -> None:
        """Let the viewer tell how large the picture is seen, and check that only the viewer is told.

        A picture that is wanted again is told as live only when media flow, which the next message says.
        """
        was, view.paused = view.paused, size == "none"
        about: Message = {"stream": {"id": view.id}}
        expected: object = view.state
        if view.paused and view.peer.connected.is_set():
            expected = "paused"
            if view.state == "negotiating":
                # The media server may still have to tell that the viewer is connected.
                expected = Where("paused or negotiating", lambda state: state in ("paused", "negotiating"))
        elif view.paused or was:
            expected = "negotiating"
        ref = await view.client.send("adjust", stream=view.id, size=size)
        (reply,) = await view.client.expect(Expected("streamChanged", {**about, "view": expected, "ref": ref}))
        view.state = reply["view"]
        if expected != "negotiating" and view.state == "negotiating":
            await view.client.expect(Expected("streamChanged", {**about, "view": "paused", "ref": None}))
            view.state = "paused"

    async def view_ended(self, stream: Stream, view: Leg, trigger: str, ref: Ref | None = None) -> None:
        """Remove a view that has ended, and check who is told."""
        stream.views.remove(view)
        view.state = "ended"
        facts: Facts = {
            "streamChanged/all": {"stream": stream.info()},
            "streamChanged/owner": {"stream": stream.info(), "view": "ended"},
        }
        await self.told(trigger, self.state, facts, asker=view.client, owner=view.client, ref=ref)

    async def answered(self, leg: Leg, machine: str, ref: Ref) -> None:
        """Check that the owner of a stream or view gets the answer to its offer, and nobody else gets anything."""
        row = self.scene.spec.machines[machine].begins("answered")
        if row is None:
            raise NotReachable(f"the {machine} has no row of answered")
        expected = [Expected(tell.message, {"stream": leg.id, "ref": ref}) for tell in row.tells]
        for message in await leg.client.expect(*expected):
            leg.answer = message.get("sdp", leg.answer)
        self._take_answer(leg, leg.answer)

    def _take_answer(self, leg: Leg, answer: str) -> None:
        try:
            leg.peer.take_answer(answer)
        except AnswerInvalid as error:
            raise Failed("an answer that a browser could take", str(error)) from error
        leg.answer = answer

    async def restart(self, leg: Leg) -> None:
        """Restart the media connection of a stream or view. A peer that was connected finds its path again.

        Raises `NotReachable` if the media server cannot restart it.
        """
        reply = await leg.client.ask("restart", stream=leg.id, sdp=leg.peer.restart())
        if reply.get("code") == "restart_refused":
            raise NotReachable("the media server cannot restart a media connection")
        expected = Expected("answer", {"stream": leg.id})
        if not expected.fits(reply):
            raise Failed(str(expected), shown(reply))
        self._take_answer(leg, reply.get("sdp", ""))
        if leg.peer.connected.is_set():
            await self.scene.until("a path after the restart", leg.peer.reach)

    async def pass_candidate(self, leg: Leg) -> None:
        """Send the peer's candidate. Nobody must get anything because of it."""
        await leg.client.send("candidate", **candidate_of(leg))

    async def connect(self, leg: Leg) -> None:
        """Connect the media of a stream or view."""
        await self.pass_candidate(leg)
        try:
            await self.scene.until("the media connection", leg.peer.connect)
        except HandshakeFailed as error:
            raise Failed("the media connection", str(error)) from error

    # The end

    async def close(self) -> None:
        """Close the room as an administrator, and check who is told."""
        await self.scene.close_room(self.name)
        await self.closes()

    async def closes(
        self,
        reason: str | None = None,
        *,
        asker: Client | None = None,
        ref: Ref | None = None,
        asked: str | None = None,
    ) -> None:
        """Check that everybody is told that the room closes, and that its streams have ended."""
        ended = [{"stream": stream.id} for stream in self.streams.values()]
        self.streams.clear()
        told = {"scope": "room"} | ({} if reason is None else {"reason": reason})
        facts: Facts = {"closing": told, "streamEnded": ended}
        await self.told("close", "closing", facts, asker=asker, ref=ref, asked=asked)

    async def close_unseen(self) -> None:
        """Close the room as an administrator while it is empty."""
        await self.scene.close_room(self.name)
        self.state = "closing"

    # Who is told

    async def told(
        self,
        trigger: str,
        dest: str,
        facts: Facts,
        *,
        people: Sequence[Client] | None = None,
        asker: Client | None = None,
        owner: Client | None = None,
        ref: Ref | None = None,
        asked: str | None = None,
    ) -> list[Message]:
        """Check that each of `people` (by default the members) gets the messages of the row, in order and with
        nothing between them. Returns those that the asker got.

        If the room's state changed, the members also get the messages about that. The last message of the reply's
        type has the `ref`.
        """
        row = self.machine.row(trigger, self.state, dest)
        if row is None:
            raise NotReachable(f"the room has no row {self.state} —{trigger}→ {dest}")
        moved, self.state = self.state != dest, dest
        state = {"state": dest, "participants": len(self.members), "streams": len(self.streams)}
        got: list[Message] = []
        for client in self.members if people is None else people:
            if client.gone:
                continue
            expected = self._expected(row, facts, client, asker, owner)
            if moved and client in self.members:
                expected += [Expected(tell.message, state) for tell in self.machine.moves_tell]
            _mark(expected, ref if client is asker else None, self.scene.spec.replies.get(asked or trigger))
            came = await client.expect(*expected)
            if client is asker:
                got = came
        return got

    def _expected(
        self, row: Row, facts: Facts, client: Client, asker: Client | None, owner: Client | None
    ) -> list[Expected]:
        """What a client gets because of a row."""
        return [
            Expected(tell.message, dict(one))
            for tell in row.tells
            if (client.me in self.moderators if tell.to == "moderators" else _concerns(tell, client, asker, owner))
            for one in _facts(facts, tell, row.tells)
        ]

    def _others(self, client: Client) -> list[Client]:
        return [member for member in self.members if member is not client]

    def _rest(self) -> str:
        """The state to which a leave leads."""
        if self.state == "closing":
            return "closing"
        if not self.members:
            return "empty"
        return "broadcasting" if self.streams else "waiting"

    def snapshot(self, dest: str, *, resumed: bool = False) -> Message:
        """The room as a newcomer must see it."""
        people, streams = {client.me for client in self.members}, set(self.streams)
        return {
            "room": self.name,
            "state": dest,
            "participants": Where(f"those of {sorted(people)}", lambda found: _ids(found) == people),
            "streams": Where(f"those of {sorted(streams)}", lambda found: _ids(found) == streams),
            "chat": Where("lines that are neither private nor deleted", self._may_be_kept),
            "resumed": resumed,
        }

    def _may_be_kept(self, lines: object) -> bool:
        return isinstance(lines, list) and not any(
            line.get("to") is not None or line.get("seq") in self.deleted for line in lines
        )


def person(client: Client, *, away: bool = False) -> Message:
    """A participant as everybody must see it."""
    return {"id": client.me, "name": client.name, "away": away}


def candidate_of(leg: Leg) -> Message:
    """The fields of the message with the peer's candidate."""
    return {
        "stream": leg.id,
        "candidate": leg.peer.candidate,
        "sdpMid": "0",
        "sdpMLineIndex": 0,
        "usernameFragment": leg.peer.ufrag,
    }


def refused(row: Row | None, code: str, message: Message) -> None:
    """Check that the message is a refusal with this code. Raises `Failed`."""
    if (message.get("type"), message.get("code")) != ("error", code):
        raise Failed(f"error with code {code}" + (f" by {row.key}" if row else ""), shown(message))


def _concerns(tell: Tell, client: Client, asker: Client | None, owner: Client | None) -> bool:
    match tell.to:
        case "asker":
            return client is asker
        case "others":
            return client is not asker
        case "owner":
            return client is owner
    return True


def _facts(facts: Facts, tell: Tell, tells: Sequence[Tell]) -> Sequence[Message]:
    if tell.when and any(one.message == tell.message and one.to == tell.to and not one.when for one in tells):
        # The facts are those of the message that is always sent.
        return ()
    found = facts.get(f"{tell.message}/{tell.to}", facts.get(tell.message))
    if found is None:
        return () if tell.when else ({},)
    return (found,) if isinstance(found, Mapping) else found


def _mark(expected: list[Expected], ref: Ref | None, reply: str | None) -> None:
    """The reply has the ref, and no other message has one."""
    for one in expected:
        one.fields = {**one.fields, "ref": None}
    replies = [one for one in expected if one.type == reply]
    if ref is not None and replies:
        replies[-1].fields["ref"] = ref


def _texts(found: object) -> set[str] | None:
    return set(found) if isinstance(found, list) else None


def _waiting(found: object) -> set[str]:
    return {one["participant"] for one in found} if isinstance(found, list) else set()


def _banned(bans: object) -> set[str]:
    return {ban["participant"] for ban in bans} if isinstance(bans, list) else set()


def _ids(found: object) -> set[str]:
    return {item["id"] for item in found} if isinstance(found, list) else set()
