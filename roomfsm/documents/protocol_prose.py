"""The prose of docs/protocol.md: how a client connects, asks, is refused, and comes back."""

from __future__ import annotations

OPENING = """\
# The protocol roomfsm.v1

This protocol is the signalling between a client (a browser's page, a test, another program) and the room
server. It says who is in a room and who presents what, and it carries offers, answers and chat. This page has
everything that you need to write a client. It is generated from the messages in `roomfsm/protocol/` and the
tables in `roomfsm/lifecycle/` by `uv run python -m roomfsm.documents`. [asyncapi.json](asyncapi.json) says the
same for programs (`roomfsm spec` prints it).
"""

CONNECTING = """\
## Connecting

Open a websocket (RFC 6455) at `/ws` and offer the subprotocol `$subprotocol`. The server refuses the handshake

- with HTTP 400 if the client does not offer the subprotocol;
- with 403 if the request comes from a page whose `Origin` may not connect. The server's own pages and the
  origins of `--allow-origin` may connect, and so may programs, which send no `Origin`;
- with 503 if the server is full or is about to end.

Every message is one text frame with one JSON object. Its `type` says which message it is. The names of fields
are in camelCase. The server sends the first message, [Welcome](#welcome): it tells the client its own id
(`session`), the token with which it can come back (`resumeToken`), the STUN servers, and the limits. Then the
client sends [Join](#join). The client learns the TURN servers and their credentials only from
[Joined](#joined), because TURN traffic costs its operator money. Credentials may expire. When half their time
is over, a [Pong](#pong) brings new ones; so a client should send [Ping](#ping) now and then, and give each new
RTCPeerConnection the newest `iceServers`.
"""

REPLIES = """\
## Messages, refs and replies

A client may give a message a `ref`, which is a number or a short text of its own choice. At most one message
answers it and repeats the `ref`: the reply that is named with each message below, or an [Error](#error). No
other message carries the `ref`, so a client that gives every message a `ref` can match all replies. Some
replies go to everybody in the room (`chat`, `participantChanged`, `streamEnded`, …). Then only the asker's copy
carries the `ref`.

The reply comes as long as the connection lives. If the connection is lost, or ends because another one resumed
the session (close code 4001), replies that had not been sent by then never come, on neither connection, although
the server may have done what was asked. So when its connection ends, a client drops all `ref`s that it waits for,
and reads from the [Joined](#joined) with `resumed` what the room is like now.

The server reads messages strictly. If a field is unknown, missing, too long or of the wrong type, the message
is `malformed`, and the error gives the `path` of the field. The server's messages may get new fields, and there
may be new messages: a client ignores fields and messages that it does not know. A field that has its default
value may be left out. If the default is *none*, `null` means the same.
"""

ORDER = """\
## Order

The server handles the messages of one client in the order in which they were sent. A room handles one message
after the other, whoever sent them, and tells everybody about them in that order. For each message it sends
first what the effects send, in the order of the tables below, and then `roomState`, if the room's state has
changed. `answer` and the server's `candidate` come later, when the media server has them. A `candidate` of a
stream never comes before its `answer`.

Messages to a client that reads slowly have to wait, and some of them are merged: a newer `participantChanged`
of the same person, `streamChanged` of the same stream, or `roomState` replaces an older one that is still
waiting, and goes to the end of the queue. Replies, `answer`, `candidate`, `chat` and all other messages are
never dropped. If too much is waiting, the server closes the connection with 4000, and the client may resume its
session.
"""

LIMITS = """\
## Limits and heartbeat

[Welcome](#welcome) tells the client the `limits`. If a message is longer than `messageBytes`, the server closes
the connection with 1009. If a client sends more than `messageBurst` messages at once, or more than
`messageRate` a second on average, the server sends an `error` with `rate_limited` (without `ref`) and closes
the connection with 1008. When a room is full, or has all the presenters it may have, or somebody watches as
many streams as allowed, the server only refuses the message with a code, and everything else continues.

The server sends a websocket ping every `heartbeat` seconds. If no pong comes in time, it closes the connection
with 4002. Browsers answer these pings by themselves. A client that wants a sign of life from the server sends
[Ping](#ping), as our page does.
"""

RESUMING = """\
## Losing the connection

If a client in a room loses its connection, the server keeps its session for `resumeWindow` seconds. The others
get `participantChanged` with `away`. The client keeps its seat, its streams and its views; media use another
connection and continue to flow. To come back, open a new connection, wait for its `welcome`, and send
[Resume](#resume) with the `resumeToken` of the lost connection. The reply is a [Joined](#joined) with
`resumed`, which describes the room as it is now. Its `you` is the id that the client had before; the `session`
of the new `welcome` is not used. From then on the token of the new `welcome` resumes the session. The token
before it also works, in case the reply was lost.

The server does not repeat messages that it sent while the connection was lost. An `answer` or a `candidate` may
be among them, so a client that is waiting for one ends the stream or view and asks again. A media connection that
was up before is restarted instead ([Restart](#restart)), because the client's network may have changed. If the
reply is `session_unknown`, the client joins again. Closing the websocket with code 1000, 1001 or without a code
is a goodbye: the client loses its seat at once. A client that gives up on a silent server and wants to come back
closes with another code, such as 4002. If the server still believes that the old connection is alive, it
closes it with 4001. A client that gets 4001 must not resume.
"""

SWITCHING = """\
## Going to another room

[Switch](#switch) takes a client to another room in one step. If the new room refuses, nothing has changed. The
errors are those of [Join](#join); a room that is closing refuses with `illegal_in_state`. If the new room
accepts, the client's seat, streams and views in the old room end, and the people there get `participantLeft`
with the reason `switched`. After the `joined` of the new room the client gets no more messages about the old
one. Room names are compared without regard to case and compatibility variants (Unicode's compatibility caseless
match): `Blue` and `blue` are one room, and its name is written as the first visitor wrote it.
"""

MEDIA = """\
## Offers, streams and views

[Publish](#publish) and [View](#view) carry an SDP offer (RFC 8866, RFC 3264), and [Answer](#answer) carries the
media server's answer. Use one RTCPeerConnection for each stream and each view. The id of a stream is the
presenter's id, a `.` and the source, so a presenter can send [Candidate](#candidate)s before the answer
arrives. Both sides send candidates as they find them (trickle ICE, RFC 8838). After the answer, the media
connection must be established within the server's `connect_timeout` (30 s unless set otherwise). Otherwise the
stream or view fails.

If a client's network changes, its media connection need not begin anew: after `restartIce()` the client sends the
new offer of the same RTCPeerConnection by [Restart](#restart). The stream or view stays as it is meanwhile, and
nobody else is told. The embedded media server answers such an offer, and media go on over the new path as soon as
that is found. Kurento cannot restart ICE. The client gets `restart_refused`, ends the stream or view, and asks for
another.

A stream is `negotiating` until the media server sees media flow. Then it is `live`, and while no media come it
is `stalled`. It can be viewed in each of these states. `streamEnded` also ends every view of the stream,
without another message. The reason `media_lost` means that the media server was lost: the presenter should
publish again. If a view fails after its answer, the viewer gets `streamChanged` with `view` and `reason`.

While a viewer's connection is too slow for the picture, the view is `limited` with the reason `slow_path`: the
viewer gets only the sound. The media server tries the picture again now and then, and when it sends the
picture, the view is `live` again. Some media servers, such as Kurento, cannot do this, and never limit a view.

A viewer who does not look at the picture need not receive it: after [Adjust](#adjust) with the size `none` the
view is `paused`, and only the sound is sent. With another size the picture is sent again, over the same media
connection and beginning with a keyframe: the view is `negotiating`, and `live` as soon as media flow. A
[View](#view) may begin with any size. No answer needs to be waited for: the newest wish counts. After a
[Resume](#resume) a client tells it again, because a server that was started again may not know it.

If `joined` has `layers`, a picture may be published in several sizes (simulcast, RFC 8853): two or three layers
of VP8 or H264, each with a rid. Each viewer then gets the one that suits the viewer's connection, and the size
that the viewer has told: with `small` the smallest, with `medium` the middle one of three at most. The presenter
gets `layers` when viewers can use other layers than before. The presenter's client need not send those that are
not named. If the answer to a [Publish](#publish) has no `a=simulcast`, the media server takes one layer.
"""

CHAT = """\
## Lines of chat

A [Chat](#chat) goes to everybody in the room. Its line gets the next number (`seq`), and the last lines are in
the [Joined](#joined) of people who come later. A line may answer another one (`replyTo`). The speaker of a line
and the room's moderators may delete it ([DeleteLine](#deleteline)). This is possible for the last lines of the
room, as many as the server's `chat_lines` (1000 unless set otherwise), whether newcomers still get them or not.
A client that shows an answer to a line that it does not have says so, or shows no quotation.

A `chat` with `to` is private: only that person and the speaker get the line, and moderators do not. It is not
kept anywhere, so nobody gets it later, and it can be neither answered nor deleted. It has no number of its own:
its `seq` is that of the last line before it, so that nobody else learns that there was one. If the connection of
that person is lost at the moment, the line is refused (`participant_away`).
"""

FILES = """\
## Files

A file for the chat comes in two steps, because its bytes do not belong on the websocket. The client announces the
file ([SendFile](#sendfile)), with its name and size, and perhaps for one person alone (`to`). The room keeps a
place for it and replies with [Upload](#upload). Its `path` is relative to the address of the websocket: with
`wss://host/rooms/ws` and `files/x`, it is `https://host/rooms/files/x`. The client sends the bytes there by one
HTTP `PUT`, which must begin within `seconds`. The answer 201 says that the people have got a line of chat with the
`file`. Any other answer means that nobody is told of the file, and that its place is free again, unless the length
in the request's head was wrong: then the client may try again. If an answer has the type `application/json`, it
has a `code` of this protocol and a `detail`. With status 503 (`files_busy`), too many files are on their
way at the moment. The client may try again after the seconds of `Retry-After`, as long as `seconds` are not over.

What holds when all bytes are there decides. The file is refused if the room takes no files any more (`no_files`),
or if the one person for whom it is has left (`no_such_participant`) or has lost the connection at that moment
(`participant_away`). The same holds for a file for everybody while the server cannot keep its line
(`store_unavailable`, with status 503). Then nothing is kept of it.

The line's `file` has a `path` of another kind, from which everybody who knows it fetches the bytes by HTTP `GET`,
also in parts (`Range`). Nobody can guess it. The file stays as long as its line can be answered or deleted, and a
private one stays while both people are in the room. If it has `until`, it is removed then at the latest, although
its line stays. After that, `GET` answers 404.

A file can be anything, so a client must not trust it. The server looks at the first bytes: if they are those of a
PNG, JPEG, GIF, WebP or AVIF picture, `mediaType` says which, and the picture may be shown. Everything else is
`application/octet-stream`, and the server has the browser save it (`Content-Disposition: attachment`), whatever it
is called. The `name` is safe to be shown and saved. The server has mended it: slashes, control characters and the
like are `_`, and characters that turn the direction of the text are left out.

If `limits` in `welcome` has no `fileBytes`, the server takes no files. Whether a room does is told as `files` in
`joined` and `roomChanged`; a policy may forbid it, and so may a moderator ([Configure](#configure)). Then
`sendFile` is refused with `no_files`. Other codes are `file_too_large`, and `files_full` if the room or the server
has no more place.
"""

SOUND = """\
## Microphones, and who speaks

A client tells whether its user's microphone and camera are on ([Media](#media)). Everybody gets that as fields
of `participantChanged`.

Some media servers find out who speaks, by the loudness that browsers send with their packets (RFC 6464). If the
[Answer](#answer) to the stream `camera` has `hears`, the client need not tell it, and what it tells by
[Speaking](#speaking) counts for nothing as long as the stream lasts. Otherwise, as with Kurento, the client
finds out from the sound of the microphone whether its user speaks, and tells it. The sound of a shared screen is
nobody's speech.

Who speaks is told in one message that lists all of them (`speaking`), at most every `speaking_interval` (0.5 s
unless set otherwise), so a client may send it as often as it changes. Who is muted or has left does not speak, and
neither does who is away, unless the media server hears that person. The newest `speaking` is in
[Joined](#joined).

Everybody may show a reaction for a moment ([React](#react)). All that people show is told in one message
([Reacted](#reacted)), as seldom as who speaks. It is kept nowhere, so newcomers do not see it.

A moderator mutes somebody by [Mute](#mute). Then the media server passes on no sound of this person any more, from
any of the person's streams and also to people who view them later; the pictures go on. The person's client gets
[Muted](#muted), and should turn the microphone off. The field `sound` of the participant says what ends it:

- `muted`: the person turns the microphone on again. The client tells that by `media` with `microphone`.
- `held` (`mute` with `hold`): only a moderator ends it by [Unmute](#unmute). Until then such a `media` is refused
  (`muted`).

`unmute` does not turn on anybody's microphone. It ends with the person's seat: somebody who leaves and comes again
is heard. To keep somebody out there is [Ban](#ban).
"""

ERRORS = """\
## Errors

The server sends an [Error](#error) if it refuses a message, or if something that a message asked for fails. The
session and the room continue. `message` is the type of the client's message, if it could be read, and `stream`
is the stream that the message named. The `code` is for programs; the `detail` is for people who look for a
mistake.

A message that is refused changes nothing. A message that is accepted can still fail later, when others already
know about it. For example, a [Publish](#publish) with a bad offer causes these messages: everybody gets
`streamStarted` (and perhaps `roomState`), then the presenter gets the `error` with the `ref`, and then
everybody gets `streamEnded` with the reason `failed`.
"""

ILLEGAL = """\
If a message is not legal in the present state, the error `illegal_in_state` says which machine refuses it, in
which state that machine is, and which messages are `allowed` instead:
"""

CLOSES = """\
## Close codes

The server closes a websocket with one of these codes.
"""

STORY = """\
## An example

Ada presents her camera in the room `blue`. Bob joins, says hello, watches her, loses his connection and comes
back. A test plays this story with a real server and real media. Session descriptions are shortened here, and
messages that do not matter for the story are left out.
"""

LEGALITY = """\
## What is legal when

Whether a message is legal depends on the state of the session and on the state of its room. If it is not, the
table names the machine that refuses it. A legal message can still be refused by a guard, see each message
below.
"""

CLIENT = """\
## What a client sends

For each message this section lists its fields, its reply, the states in which it is legal, the transitions that
it causes (in the order in which they are tried), and an example. If a trigger is named in brackets after the
machine, the message fires that trigger there: a `switch` is a join in one room and a leave in another. "to all"
means everybody in the room, "to others" everybody except the asker, "to asker" the person whose message it is,
and "to owner" the person whose stream, view or seat it is, or to whom a private line is said. Errors that every
message may get ($any) are not repeated.
"""

SERVER = """\
## What the server sends
"""

PARTS = """\
## What messages are made of
"""

MACHINES = """\
## For programs

[asyncapi.json](asyncapi.json) is an AsyncAPI 3.0.0 document. It has additional members, which are generated
from the state machines:

$extensions
"""
