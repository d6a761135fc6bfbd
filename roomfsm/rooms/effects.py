"""What the effects of the room's table do to the people, the streams and the views, and who is told what.

The order in an effect matters, because every message describes the room as it is when the message is sent. A
newcomer is announced to the others before the newcomer is in `people`, and gets the description of the room after
that, so it contains the newcomer and everything before. Somebody who leaves ends views first, then streams, and is
then removed, so nobody is ever told of a stream whose presenter is not in the room.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import trio

from roomfsm.access.policy import Policy
from roomfsm.kurento.errors import MediaServerError, OfferRefused, SdpInvalid
from roomfsm.kurento.objects import PipelinePlace
from roomfsm.kurento.owner import Owner
from roomfsm.lifecycle.room import RoomEffect as Do
from roomfsm.lifecycle.stream import StreamEffect, ViewEffect
from roomfsm.lifecycle.table import Effect, Step
from roomfsm.log import get_logger
from roomfsm.protocol.client import (
    Adjust,
    Candidate,
    Chat,
    EndStream,
    Publish,
    Rename,
    Restart,
    SendFile,
    Unpublish,
    Unview,
)
from roomfsm.protocol.client import View as ViewMessage
from roomfsm.protocol.errors import ErrorCode, Refusal
from roomfsm.protocol.fields import Ref
from roomfsm.protocol.names import room_key
from roomfsm.protocol.server import (
    ChatSaid,
    Closing,
    Joined,
    LayersWanted,
    ParticipantChanged,
    ParticipantJoined,
    ParticipantLeft,
    RoomState,
    StreamChanged,
    StreamEnded,
    StreamStarted,
)
from roomfsm.rooms import durable
from roomfsm.rooms.broadcast import Broadcast
from roomfsm.rooms.chat import ChatHistory
from roomfsm.rooms.durable import Durable
from roomfsm.rooms.events import (
    Ask,
    Away,
    Back,
    Close,
    Depart,
    Disowned,
    Enter,
    Event,
    FileArrived,
    HandOver,
    MediaLost,
    Revoked,
    StreamFailed,
    ViewFailed,
)
from roomfsm.rooms.journal import Journal
from roomfsm.rooms.legs import Left, Stream, View
from roomfsm.rooms.lookalikes import Lookalikes
from roomfsm.rooms.moderation import Moderation
from roomfsm.rooms.news import News, tell
from roomfsm.rooms.participant import Participant, seat_to_give
from roomfsm.rooms.record import Record
from roomfsm.rooms.room_files import RoomFiles
from roomfsm.rooms.settings import RoomSettings
from roomfsm.rooms.snapshot import as_media_at, as_published, as_relayed, as_sat, as_viewed, media_of, relay_of
from roomfsm.rooms.speaking import Speakers
from roomfsm.rooms.spread import KeptRelay
from roomfsm.sdp_secrets import masked

_REASONS: dict[Effect, str] = {ViewEffect.TELL_LIMITED: "slow_path"}
"""The reason that a viewer is told together with a view's new state, by the effect that tells that state."""

_ENDED = Refusal(ErrorCode.ENDED)


class Inside(Protocol):
    """What the effects may use of the room that they are carried out in."""

    @property
    def name(self) -> str: ...

    @property
    def people(self) -> dict[str, Participant]: ...

    @property
    def streams(self) -> dict[str, Stream]: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def record(self) -> Record: ...

    @property
    def told_state(self) -> str:
        """The name of the room's state in the protocol's messages."""

    @property
    def broadcast(self) -> Broadcast | None:
        """The broadcast in which streams and views are opened; None in states that own none."""

    @property
    def media_place(self) -> PipelinePlace | None:
        """Where the broadcast's pipeline is; None if there is none, or if the room releases it."""

    @property
    def kept_relays(self) -> list[KeptRelay]:
        """The relays that outlive the server."""

    @property
    def media_owner(self) -> Owner | None:
        """This run of the server, as the owner of pipelines."""

    @property
    def settings(self) -> RoomSettings: ...

    @property
    def layers(self) -> int | None:
        """In how many layers a picture may be published; None if in one."""

    def refuse(self, event: Event, refusal: Refusal) -> None:
        """Tell the sender of the event that it was refused, if the sender waits for an answer."""


class Effects:
    """Carries out effects in one room. Nothing here waits, and nothing here decides: the table has decided."""

    def __init__(
        self,
        room: Inside,
        news: News,
        chat: ChatHistory,
        files: RoomFiles,
        moderation: Moderation,
        speakers: Speakers,
    ) -> None:
        self._room = room
        self._news = news
        self._people = room.people
        self._streams = room.streams
        self._journal = room.journal
        self._log = get_logger(__name__).bind(room=room.name)
        self._chat = chat
        self._files = files
        self._moderation = moderation
        self._speakers = speakers
        self._record = room.record
        self._noted_place: PipelinePlace | None = None
        """The place of the pipeline that the record knows."""
        self.lookalikes = Lookalikes()
        self._doing: dict[str, Callable[[Any], None]] = {
            Do.KNOCK: self._knock,
            Do.GIVE_UP: self._give_up,
            Do.TURN_AWAY: self._turn_away,
            Do.MAKE_WAY: self._make_way,
            Do.ADMIT: self._admit,
            Do.DISMISS: self._dismiss,
            Do.MARK_AWAY: self._mark_away,
            Do.WELCOME_BACK: self._welcome_back,
            Do.RENAME: self._rename,
            Do.SAY: self._say,
            Do.EXPECT_FILE: self._expect_file,
            Do.SAY_FILE: self._say_file,
            Do.OPEN_STREAM: self._open_stream,
            Do.END_STREAM: self._end_stream,
            Do.OPEN_VIEW: self._open_view,
            Do.END_VIEW: self._end_view,
            Do.ADJUST_VIEW: self._adjust_view,
            Do.PASS_CANDIDATE: self._pass_candidate,
            Do.RESTART_CONNECTION: self._restart_connection,
            Do.LOSE_MEDIA: self._lose_media,
            Do.TELL_CLOSING: self._tell_closing,
            Do.END_STREAMS: self._end_streams,
            Do.SEND_ON: self._send_on,
            Do.LEAVE_MEDIA: self._leave_media,
        }

    def carry_out(self, effect: Effect, event: Event) -> None:
        """Do what a row of the table says, for the event that fired it."""
        self._doing[effect](event)

    # Who is there

    def _knock(self, event: Enter) -> None:
        self._moderation.knock(event)
        self._log.info("knocks", participant=event.seat.id, waiting=len(self._moderation.lobby))

    def _give_up(self, event: Depart) -> None:
        self._moderation.give_up(event)
        self._journal.tallies["session"].forget(event.seat.id)

    def _turn_away(self, event: Close | HandOver) -> None:  # noqa: ARG002 (whatever the reason)
        self._moderation.lobby.refuse(None, Refusal(ErrorCode.ROOM_CLOSED))

    def _make_way(self, event: Enter) -> None:  # noqa: ARG002 (whoever comes)
        if len(self._people) < self._room.settings.max_people:
            return
        participant = seat_to_give(self._people.values())
        assert participant is not None
        self._put_out(participant, "disconnected", replaced=True)
        participant.seat.take_away()

    def _admit(self, event: Enter) -> None:
        participant = Participant(event.seat, event.name)
        self._moderation.admit(participant, event.credentials)
        self._record.note(as_sat(participant, event.seat.sitter.resume_hashes))
        self.lookalikes.add(participant)
        self._news.happened(ParticipantJoined(participant=participant.info()), about=participant)
        self._people[participant.id] = participant
        self._describe_room_to(participant, event.ref)
        self._moderation.tell_moderator(participant)
        self._moderation.relieve(participant)
        if event.admitted:
            event.seat.sitter.admitted()
        self._log.info("joined", participant=participant.id, people=len(self._people))

    def _dismiss(self, event: Depart) -> None:
        participant = self._people[event.seat.id]
        self._put_out(participant, event.reason, event.by, event.ref)
        if event.put_out:
            participant.reply(ParticipantLeft(participant=participant.id, reason=event.reason))
        elif event.reason == "left":
            participant.reply(ParticipantLeft(participant=participant.id, reason=event.reason, ref=event.ref))
        self._journal.tallies["session"].forget(participant.id)

    def _put_out(
        self,
        participant: Participant,
        reason: str,
        by: Participant | None = None,
        ref: Ref | None = None,
        *,
        replaced: bool = False,
    ) -> None:
        # This says of the streams and views, too, that they end.
        self._record.note(durable.Left(participant.id))
        for name in tuple(participant.views):
            stream = self._streams[name]
            self._drop_view(stream.views[participant.id])
            self._tell_stream(stream)
        for name in tuple(participant.streams):
            self._drop_stream(self._streams[name], "left", noted=True)
        self._files.forget_person(participant.id)
        self._news.forget(participant.id)
        del self._people[participant.id]
        self._speakers.forget(participant)
        self._news.happened(
            ParticipantLeft(participant=participant.id, reason=reason), by, ref=ref, about=participant
        )
        self._tell_unmarked(self.lookalikes.remove(participant))
        self._moderation.dismiss(participant, replaced=replaced)
        self._log.info("left", participant=participant.id, reason=reason, people=len(self._people))

    def _mark_away(self, event: Away) -> None:
        participant = self._people[event.seat.id]
        participant.away_since = trio.current_time()
        self._moderation.move(participant, "lost")
        self._tell_person(participant)
        self._speakers.note(participant, False)

    def _welcome_back(self, event: Back) -> None:
        participant = self._people[event.seat.id]
        seat = event.seat
        self._record.note(durable.Returned(participant.id, seat.sitter.resume_hashes, seat.voice.address))
        participant.away_since = None
        self._moderation.move(participant, "found")
        self._news.tell_changes_if_few()
        self._describe_room_to(participant, event.ref, resumed=True)
        for name in participant.views:
            view = self._streams[name].views[participant.id]
            if view.reason is not None:
                self._tell_view(view, reason=view.reason)
        for name in participant.streams:
            self._tell_layers(self._streams[name])
        self._moderation.tell_moderator(participant)
        self._tell_person(participant)

    def _rename(self, event: Ask) -> None:
        assert isinstance(event.message, Rename)
        participant = self._people[event.seat.id]
        self._record.note(durable.Renamed(participant.id, event.message.name))
        unmarked = self.lookalikes.remove(participant)
        participant.name = event.message.name
        self.lookalikes.add(participant)
        self._tell_person(participant, ref=event.message.ref)
        self._tell_unmarked(unmarked)

    def _tell_unmarked(self, participant: Participant | None) -> None:
        """Tell everybody that this person's name no longer looks like the name of somebody who had it before."""
        if participant is not None:
            self._tell_person(participant)

    def _say(self, event: Ask) -> None:
        assert isinstance(event.message, Chat)
        speaker = self._people[event.seat.id]
        now = time.time_ns() // 1_000_000
        text, to, answered, ref = event.message.text, event.message.to, event.message.reply_to, event.message.ref
        if to is None:
            line = self._chat.add(speaker.id, speaker.name, text, now, answered)
            self._record.note(durable.Said(line))
            self._news.happened(ChatSaid(line=line), speaker, ref=ref)
        else:
            line = self._chat.in_private(speaker.id, speaker.name, text, now, to, answered)
            tell((speaker, self._people[to]), ChatSaid(line=line), speaker, ref=ref)

    def _expect_file(self, event: Ask) -> None:
        assert isinstance(event.message, SendFile)
        self._files.expect(self._people[event.seat.id], event.message)

    def _say_file(self, event: FileArrived) -> None:
        file, announced = event.file, event.file.announced
        speaker, now = self._people[file.sender], time.time_ns() // 1_000_000
        self._files.arrive(file, now)
        about = speaker.id, speaker.name, announced.name, now
        if announced.to is None:
            line = self._chat.add(*about, announced.reply_to, file.info())
            self._record.note(durable.Said(durable.without_file(line)))
            self._files.keep(file, line.seq)
            self._news.happened(ChatSaid(line=line), about=speaker)
        else:
            line = self._chat.in_private(*about, announced.to, announced.reply_to, file.info())
            tell((speaker, self._people[announced.to]), ChatSaid(line=line))

    def _describe_room_to(self, participant: Participant, ref: Ref | None, resumed: bool = False) -> None:
        """Send a description of the room as it is now. From then on the participant gets the news."""
        policy = self._room.policy
        participant.seat.begin_to_hear()
        participant.send(
            Joined(
                room=self._room.name,
                key=room_key(self._room.name),
                you=participant.id,
                state=self._room.told_state,
                participants=tuple(person.info() for person in self._people.values()),
                streams=tuple(stream.info() for stream in self._streams.values()),
                chat=self._chat.lines(),
                ice_servers=participant.seat.sitter.ice_servers(),
                locked=self._moderation.locked,
                speaking=self._speakers.told,
                lobby=policy.lobby,
                newcomers=policy.role,
                listed=policy.listed,
                files=self._files.taken,
                layers=self._room.layers,
                resumed=resumed,
                ref=ref,
            )
        )

    # Streams and views

    def _open_stream(self, event: Ask) -> None:
        assert isinstance(event.message, Publish)
        presenter = self._people[event.seat.id]
        stream = self._begin_stream(event.message, presenter)
        self._news.happened(StreamStarted(stream=stream.info()), about=presenter)
        self._log.info("stream started", stream=stream.id, generation=stream.generation)

    def _begin_stream(self, message: Publish, presenter: Participant, left: Left | None = None) -> Stream:
        assert self._room.broadcast is not None

        def on_change(effect: Effect) -> None:
            if effect is StreamEffect.TELL_LAYERS:
                self._tell_layers(stream)
            elif effect is StreamEffect.NOTE_SPEECH:
                self._speakers.hear(presenter, stream.speaks)
            else:
                self._tell_stream(stream)

        def on_answer() -> None:
            self._note_stream(stream)

        stream = Stream(message, presenter, self._room.settings, on_change, on_answer, self._journal, left)
        self._streams[stream.id] = stream
        presenter.streams[stream.id] = None
        self._room.broadcast.start(stream)
        return stream

    def _note_stream(self, stream: Stream) -> None:
        place = self._room.media_place
        if place is not None and place != self._noted_place:
            self._note_place(place)
        self._note(as_published(stream))
        # Views that were answered before their stream.
        for view in stream.views.values():
            self._note(as_viewed(view))

    def _note_place(self, place: PipelinePlace) -> None:
        self._noted_place = place
        self._record.note(as_media_at(place, self._room.media_owner))

    def _note(self, event: Durable | None) -> None:
        if event is not None:
            self._record.note(event)

    def _end_stream(self, event: Ask | StreamFailed | Revoked) -> None:
        match event:
            case Ask(seat=seat, message=Unpublish(stream=name, ref=ref)):
                self._drop_stream(self._streams[name], "unpublished", self._people[seat.id], ref)
            case Ask(seat=seat, message=EndStream(stream=name, ref=ref)):
                self._drop_stream(self._streams[name], "moderator", self._people[seat.id], ref)
            case Revoked(stream=stream):
                self._drop_stream(stream, "moderator")
            case StreamFailed(stream=stream, refusal=refusal):
                self._log_failure("stream failed", refusal, stream.offer, stream=stream.id)
                self._drop_stream(stream, "failed", refusal=refusal)

    def _open_view(self, event: Ask) -> None:
        assert isinstance(event.message, ViewMessage)
        view = self._begin_view(event.message, self._people[event.seat.id])
        self._tell_stream(view.stream)

    def _begin_view(self, message: ViewMessage, viewer: Participant, left: Left | None = None) -> View:
        assert self._room.broadcast is not None
        stream = self._streams[message.stream]
        stream.fire("view")

        def on_change(effect: Effect) -> None:
            view.reason = _REASONS.get(effect)
            self._tell_view(view, reason=view.reason)

        def on_answer() -> None:
            self._note(as_viewed(view))

        view = View(message, stream, viewer, self._room.settings, on_change, on_answer, self._journal, left)
        stream.views[viewer.id] = view
        viewer.views[view.id] = None
        self._room.broadcast.start(view)
        return view

    def note_relay(self, relay: KeptRelay) -> None:
        """Note that a stream is relayed, before views are noted that get it from there."""
        self._record.note(as_relayed(relay, self._room.media_owner))

    def go_on(
        self,
        streams: Iterable[durable.Published],
        relays: Iterable[durable.Relayed],
        views: Iterable[durable.Viewed],
    ) -> None:
        """Begin the streams and views that an earlier run of the server has left, and that go on."""
        if self._room.media_place is not None:
            # It is this run's from now on.
            self._note_place(self._room.media_place)
        for told in streams:
            publish = Publish(source=told.source, sdp="")
            self._begin_stream(publish, self._people[told.person], Left(told.endpoint, told.generation))
        assert self._room.broadcast is not None
        for relay in map(relay_of, relays):
            self._room.broadcast.take_up(relay, self._streams[relay.stream])
        for one in views:
            message = ViewMessage(stream=one.stream, sdp="")
            self._begin_view(message, self._people[one.person], Left(one.endpoint, one.generation, one.at))

    def _end_view(self, event: Ask | ViewFailed) -> None:
        match event:
            case Ask(seat=seat, message=Unview(stream=name, ref=ref)):
                view = self._streams[name].views[seat.id]
                self._note_view_end(view)
                self._drop_view(view)
                self._tell_stream(view.stream)
                self._news.tell_changes_if_few()
                self._tell_view(view, ref=ref)
            case ViewFailed(view=view, refusal=refusal):
                viewer = view.participant.id
                self._log_failure("view failed", refusal, view.offer, view=view.id, viewer=viewer)
                self._note_view_end(view)
                refused = self._drop_view(view, refusal)
                self._tell_stream(view.stream)
                if not refused:
                    self._news.tell_changes_if_few()
                    self._tell_view(view, reason=str(refusal))

    def note_that_streams_end(self) -> None:
        """Note the end of all streams, before they end."""
        for stream in self._streams.values():
            self._note_stream_end(stream)

    def _note_stream_end(self, stream: Stream) -> None:
        if as_published(stream) is not None:
            self._record.note(durable.Unpublished(stream.participant.id, stream.source))

    def _note_view_end(self, view: View) -> None:
        if as_viewed(view) is not None:
            self._record.note(durable.Unviewed(view.participant.id, view.id))

    def _adjust_view(self, event: Ask) -> None:
        assert isinstance(event.message, Adjust)
        view = self._streams[event.message.stream].views[event.seat.id]
        # It is not noted: the media server knows it, and the page of somebody who is back tells it again.
        view.adjust(event.message.size)
        self._tell_view(view, reason=view.reason, ref=event.message.ref)

    def _log_failure(self, event: str, refusal: Refusal, offer: str, **ids: str) -> None:
        """Log why a leg failed, and what the browser is not told of that, without secrets of its offer.

        A browser can make its own leg fail as often as it likes, so only a fault of a media server is a warning.
        """
        why, cause = str(refusal), refusal.__cause__
        more = {} if cause is None or str(cause) == why else {"cause": str(cause)}
        by_media_server = isinstance(cause, MediaServerError) and not isinstance(cause, OfferRefused | SdpInvalid)
        log = self._log.warning if by_media_server else self._log.info
        log(event, **ids, **{name: masked(words, offer) for name, words in ({"why": why} | more).items()})

    def _pass_candidate(self, event: Ask) -> None:
        assert isinstance(event.message, Candidate)
        leg, message = self._leg_of(event.seat.id, event.message.stream), event.message
        self._let(leg, event, lambda: leg.take(message))

    def _restart_connection(self, event: Ask) -> None:
        assert isinstance(event.message, Restart)
        leg, message = self._leg_of(event.seat.id, event.message.stream), event.message
        self._let(leg, event, lambda: leg.restart(message))

    def _leg_of(self, participant: str, stream_id: str) -> Stream | View:
        """This person's stream of that id, or view of it."""
        stream = self._streams[stream_id]
        return stream if stream.participant.id == participant else stream.views[participant]

    def _let(self, leg: Stream | View, event: Ask, do: Callable[[], None]) -> None:
        """Let the leg's own machine decide on a message about it."""
        try:
            do()
        except Refusal as refusal:
            who = leg.participant.id
            self._journal.refused(leg.table.name, leg.key, event.trigger, leg.state, refusal, who=who)
            self._room.refuse(event, refusal)

    def _lose_media(self, event: MediaLost) -> None:
        self._log.warning("media lost", reason=event.reason, streams=len(self._streams))
        full = event.reason == ErrorCode.MEDIA_FULL
        code = ErrorCode.MEDIA_FULL if full else ErrorCode.MEDIA_UNAVAILABLE
        for stream in tuple(self._streams.values()):
            self._drop_stream(stream, event.reason, refusal=Refusal(code), of_views=Refusal(code))

    def _end_streams(self, event: Close) -> None:
        for stream in tuple(self._streams.values()):
            self._drop_stream(stream, event.reason)

    def _send_on(self, event: Disowned) -> None:  # noqa: ARG002 (there is nothing to know)
        self._log.warning("room goes on at another server", people=len(self._people), streams=len(self._streams))
        if self._room.broadcast is not None:
            # Without endpoints, too: the other server may know of some that have ended here.
            self._room.broadcast.pass_on(self._answered_endpoints())
        self._let_go_of_media()

    def _let_go_of_media(self) -> None:
        """End the streams and views of a room that goes on at another server. Nobody is told."""
        for stream in tuple(self._streams.values()):
            for view in tuple(stream.views.values()):
                self._drop_view(view)
            stream.end(_ENDED)
            del self._streams[stream.id]

    def _leave_media(self, event: HandOver) -> None:  # noqa: ARG002 (whatever the reason)
        if self._room.broadcast is not None:
            self._room.broadcast.leave(self._answered_endpoints())
        self._record.end(forget=False)

    def _answered_endpoints(self) -> Mapping[str, list[str]]:
        """The ids of the endpoints of the streams and views that have been answered, by `View.at`."""
        found = defaultdict[str, list[str]](list)
        for one in media_of(self._room):
            match one:
                case durable.Published(endpoint=endpoint):
                    found[""].append(endpoint)
                case durable.Viewed(endpoint=endpoint, at=at):
                    found[at].append(endpoint)
        return found

    def _drop_stream(
        self,
        stream: Stream,
        reason: str,
        asker: Participant | None = None,
        ref: Ref | None = None,
        *,
        refusal: Refusal = _ENDED,
        of_views: Refusal = _ENDED,
        noted: bool = False,
    ) -> None:
        """End a stream and its views; those that had no answer get `refusal`, and `of_views`, instead.

        `noted` says that the record knows already that the stream ends.
        """
        if not noted:
            self._note_stream_end(stream)
        for view in tuple(stream.views.values()):
            self._drop_view(view, of_views)
        stream.end(refusal)
        del self._streams[stream.id]
        stream.participant.streams.pop(stream.id, None)
        if stream.speaks is not None:
            self._speakers.hear(stream.participant, None)
        self._news.forget(stream.id)
        self._news.happened(StreamEnded(stream=stream.id, reason=reason), asker, ref=ref, about=stream.participant)
        self._log.info("stream ended", stream=stream.id, reason=reason)

    def _drop_view(self, view: View, refusal: Refusal = _ENDED) -> bool:
        """End a view; whether its viewer got `refusal` for an answer, having had none."""
        refused = view.end(refusal)
        del view.stream.views[view.participant.id]
        view.participant.views.pop(view.id, None)
        return refused

    # Telling

    def tell_state(self, step: Step) -> None:
        """Tell everybody the room's new state, after the effects of the step have been carried out."""
        self._log.info("state", trigger=step.trigger, source=step.source, dest=step.dest)
        room = self._room
        self._news.changed(
            "",
            lambda: RoomState(state=room.told_state, participants=len(room.people), streams=len(room.streams)),
        )

    def _tell_person(self, participant: Participant, ref: Ref | None = None) -> None:
        self._news.changed(
            participant.id, lambda: ParticipantChanged(participant=participant.info()), participant, ref=ref
        )

    def _tell_layers(self, stream: Stream) -> None:
        """Tell the presenter which layers of the picture are of use, if the media server has said it."""
        if stream.layers is not None:
            stream.participant.send(LayersWanted(stream=stream.id, layers=stream.layers))

    def _tell_stream(self, stream: Stream) -> None:
        self._news.changed(stream.id, lambda: StreamChanged(stream=stream.info()))

    def _tell_view(self, view: View, *, reason: str | None = None, ref: Ref | None = None) -> None:
        view.participant.send(
            StreamChanged(stream=view.stream.info(), view=view.told_state, reason=reason, ref=ref)
        )

    def _tell_closing(self, event: Close) -> None:
        self._news.happened(Closing(scope="room", reason=event.reason), event.by, ref=event.ref)
