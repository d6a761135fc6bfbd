"""What docs/protocol.md says in words: how a client connects, asks, is refused, and comes back."""

from __future__ import annotations

OPENING = """\
# The protocol roomfsm.v1

Signalling between a client (a browser's page, a test, another program) and the room server: who is in a room,
who presents what, offers and answers, chat. This page has all that is needed to write a client. It is made from
the messages in `roomfsm/protocol/` and the tables in `roomfsm/lifecycle/` by
`uv run python -m roomfsm.documents`, as is [asyncapi.json](asyncapi.json), the same for machines
(`roomfsm spec` prints it).
"""

CONNECTING = """\
## Connecting

Open a websocket (RFC 6455) at `/ws` and offer the subprotocol `$subprotocol`. The handshake is refused with
HTTP 400 where that is missing, 403 where a page's `Origin` may not connect (the server's own may, and those of
`--allow-origin`; no `Origin`, as programs send, is allowed), and 503 where the server is full or ends.

Every message is one text frame with one JSON object; its `type` says which message it is. Names of fields are
in camelCase. The first message is the server's [Welcome](#welcome): who one is (`session`), how to come back
(`resumeToken`), the STUN servers, and the limits. One then sends [Join](#join). TURN servers and their
credentials are told by [Joined](#joined), because they cost their owner traffic. Credentials may end: a
[Pong](#pong) brings new ones when half their time is over, so a client pings now and then, and gives each new
RTCPeerConnection the `iceServers` that it was told last.
"""

REPLIES = """\
## Messages, refs and replies

A client's message may have a `ref`, a number or a short text of its own choice. The one message that answers it
repeats the `ref`: the reply named with each message below, or an [Error](#error). No other message carries it,
so a client that gives every message a `ref` can match all replies. Some replies are news for everybody (`chat`,
`participantChanged`, `streamEnded`, …): the asker's copy carries the `ref`, the others' do not.

Clients' messages are read strictly: a field that is unknown, missing, of a wrong type or too long makes the
message `malformed`, with the `path` of the field. The server's messages may grow: a client passes over fields,
and messages, that it does not know. Optional fields are left out where they have their default; where that is
*none*, `null` means the same.
"""

ORDER = """\
## Order

The messages of one client are handled in the order in which they were sent. A room handles one message after
the other, whoever sends them, and tells all of them everything in that order: for each, first what the effects
tell, in the order of the tables below, and last `roomState` if the room's state is another. `answer` and the
server's `candidate` come later, when the media server has them; `candidate`s of a stream never before its
`answer`.

While a client reads slowly, what it is told waits, and some news are merged: a `participantChanged` of the same
person, a `streamChanged` of the same stream, or a `roomState` that still waits gives way to the newer one,
which comes last. Replies, `answer`, `candidate`, `chat` and all others are never dropped. Where too much waits,
the connection is closed with 4000, and the session may be resumed.
"""

LIMITS = """\
## Limits and heartbeat

[Welcome](#welcome) tells the `limits`. A message longer than `messageBytes` closes the connection with 1009.
Beyond `messageBurst` messages at once, or `messageRate` a second on average, comes an `error` with
`rate_limited` (without `ref`), and the connection is closed with 1008. A room, a presenter or a viewer at its
bound is refused with a code and goes on.

The server sends a websocket ping every `heartbeat` seconds and closes with 4002 if no pong comes in time;
browsers answer by themselves. A client that wants a sign of life from the server, as pages do, sends
[Ping](#ping).
"""

RESUMING = """\
## Losing the connection

A session outlives its connection for `resumeWindow` seconds, if it is in a room: the others are told
`participantChanged` with `away`, and seat, streams and views stay; media take another way and flow on. To come
back, open a new connection, wait for its `welcome`, and send [Resume](#resume) with the `resumeToken` that the
lost connection was told. The reply is a [Joined](#joined) with `resumed`, which tells all that happened
meanwhile; `you` is who one was before, and the new `welcome`'s `session` is given up. From then on the new
`welcome`'s token resumes the session, and so does the one before it, in case the reply was lost.

What was sent meanwhile is not sent again. An `answer` or a `candidate` may have been: a client that waits for
one ends the stream or view and asks anew. After `session_unknown` it joins again. Closing the websocket with
1000, 1001 or without a code is a goodbye: the seat is given up at once. If the old connection still seems alive
to the server, it is closed with 4001: whoever gets that must not resume.
"""

SWITCHING = """\
## Going to another room

[Switch](#switch) goes to another room in one step. If that refuses, nothing has changed; the refusals are those
of [Join](#join), and a room that is closing refuses with `illegal_in_state`. If it admits, the seat in the room
before is given up, with streams and views, and its people are told `participantLeft` with the reason
`switched`. No news of the room before come after the `joined` of the new one. Room names are compared folded
(Unicode's compatibility caseless match): `Blue` and `blue` are one room, called as its first visitor wrote it.
"""

MEDIA = """\
## Media

[Publish](#publish) and [View](#view) carry an SDP offer (RFC 8866, RFC 3264), the [Answer](#answer) the media
server's answer. One RTCPeerConnection is used for each stream and each view. The id of a stream is the
presenter's id, a `.` and the source, so that a presenter can send [Candidate](#candidate)s before the answer.
Candidates go both ways as they are found (trickle ICE, RFC 8838). The media connection must be up within the
server's `connect_timeout` (30 s unless set otherwise) after the answer, or the stream or view fails.

A stream is `negotiating` until the media server sees media flow, then `live`, and `stalled` while none come. A
stream may be viewed in each of these states. `streamEnded` ends every view of it, with no further word. With
the reason `media_lost` the media server was lost: the presenter should publish again. A view that fails after
its answer is told by `streamChanged` with `view` and `reason`.

A view is `limited`, with the reason `slow_path`, while the viewer's connection is too slow for the picture: the
sound goes on. The picture is tried again now and then, and the view is `live` again as soon as it is sent. A
media server that cannot do this, as Kurento, never limits a view.
"""

ERRORS = """\
## Errors

An [Error](#error) answers a message that was refused, or that asked for what then failed. The session and the
room go on. `message` is the type of the message, as far as it could be read, `stream` the stream it named. A code
is for programs, `detail` for people who debug.

A message that is refused changes nothing. One that was taken and then fails has been told of: a
[Publish](#publish) with a bad offer gets `streamStarted` (as all do, and perhaps `roomState`), then the `error`
with its `ref`, then `streamEnded` with the reason `failed` (as all do).
"""

ILLEGAL = """\
A message that is not legal in the present state is answered by `illegal_in_state` with the machine and state
that refuse it, and the messages that are `allowed` instead:
"""

CLOSES = """\
## Close codes

With these codes the server closes a websocket.
"""

STORY = """\
## An example

Ada presents her camera in the room `blue`; Bob comes, says hello, views it, is cut off and comes back. A test
plays this story with a real server and real media. Session descriptions are cut down here; news that play no
part are left out.
"""

LEGALITY = """\
## What is legal when

By the states of the session and of the room that it is in. "Legal" is not yet granted: see the guards of each
message. Where a message is refused, the machine that refuses it is named.
"""

CLIENT = """\
## What a client sends

For each message: the fields; the reply; the states in which it is legal; what it changes, row by row as the
rows are tried; an example. A name in brackets after the machine is the trigger by which the message is carried
out there: a `switch` is a join in one room and a leave in another. "to all" is everybody in the room, "to
others" everybody else there, "to asker" the one whose message it is, "to owner" the one whose stream or view it
is. Errors that any message may get ($any) are not repeated.
"""

SERVER = """\
## What the server sends
"""

PARTS = """\
## What messages are made of
"""

MACHINES = """\
## For machines

[asyncapi.json](asyncapi.json) is an AsyncAPI 3.0.0 document. It extends AsyncAPI by members that are read off
the state machines:

$extensions
"""
