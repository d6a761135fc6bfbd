// The messages of roomfsm.v1 as types, for the compiler only: no browser loads this file.
// Made from roomfsm/protocol and roomfsm/lifecycle by `uv run python -m roomfsm.documents`.

/** One line of chat. */
export type ChatLine = {
  /** counts up by one in a room */
  seq: number;
  /** one person; unguessable, the same in every room */
  participant: string;
  /** the speaker's display name then */
  name: string;
  /** what is said, as plain text; no control characters but newlines and tabs */
  text: string;
  /** milliseconds since 1970 (UTC) */
  at: number;
};

/** Why a message was refused, or its effect failed. */
export type ErrorCode =
  | 'malformed'
  | 'unknown_message'
  | 'illegal_in_state'
  | 'rate_limited'
  | 'server_full'
  | 'server_closing'
  | 'too_many_rooms'
  | 'room_full'
  | 'already_in_room'
  | 'too_many_presenters'
  | 'already_publishing'
  | 'too_many_views'
  | 'already_viewing'
  | 'not_viewing'
  | 'no_such_stream'
  | 'own_stream'
  | 'not_your_stream'
  | 'too_many_candidates'
  | 'sdp_invalid'
  | 'media_unavailable'
  | 'media_full'
  | 'media_failed'
  | 'ended'
  | 'session_unknown'
  | 'room_closed';

/** A STUN or TURN server for the browser, as in RTCIceServer (W3C WebRTC section 4.2.2). */
export type IceServer = {
  urls: string[];
  username?: string;
  credential?: string;
};

/** Bounds a client should know before it meets them. */
export type Limits = {
  /** the longest message from a client */
  messageBytes: number;
  /** how many messages at once */
  messageBurst: number;
  /** how many messages a second on average */
  messageRate: number;
  /** characters of a line of chat */
  chatText: number;
  /** characters of a display name */
  displayName: number;
  /** people in a room */
  people: number;
  /** people in a room who present at a time */
  presenters: number;
  /** streams that one participant views at a time */
  views: number;
  /** candidates kept for an endpoint that is not ready yet */
  candidates: number;
  /** how many lines of chat at once, if that is bounded (see `rate_limited`) */
  toldBurst?: number;
  /** how many lines of chat a second on average */
  toldRate?: number;
  /** bytes that one may have told to everybody at once */
  toldBytes?: number;
};

/** One person in the room. */
export type ParticipantInfo = {
  /** one person; unguessable, the same in every room */
  id: string;
  /** the display name */
  name: string;
  /** the connection is lost, and may still be resumed */
  away?: boolean;
  /** somebody else who had it before has a name that looks the same (UTS 39) */
  lookalike?: boolean;
};

/** the sender's own mark on a message; the reply repeats it */
export type Ref = number | string;

/** a state of the machine `room` */
export type RoomStateName = 'empty' | 'waiting' | 'broadcasting' | 'closing';

/** What a presenter's stream shows; a presenter has at most one stream of each. */
export type Source = 'camera' | 'screen';

/** One stream of the room. */
export type StreamInfo = {
  /** participant id, '.', source: 'p4k2….camera' */
  id: string;
  /** one person; unguessable, the same in every room */
  participant: string;
  source: Source;
  state: StreamState;
  /** counts the endpoints that its presenter has had for it: 1, 2, … */
  generation: number;
  /** how many view it */
  viewers: number;
};

/** a state of the machine `stream` */
export type StreamState = 'negotiating' | 'live' | 'stalled' | 'ended';

/** a state of the machine `view` */
export type ViewState = 'negotiating' | 'live' | 'stalled' | 'limited' | 'ended';

// What a client sends.

/** Enter a room, opening it if need be. Reply: `joined`. */
export type Join = {
  type: 'join';
  /** a room name is 1 to 64 letters and digits of any script, '.', '_' or '-', each where its script has it (IdentifierClass of RFC 8264); taken in normal form C, case kept, compared folded */
  room: string;
  /** a name is 1 to 64 characters, no control characters, not only spaces; a nickname (RFC 8266): taken in normal form KC, without spaces at its ends, with single ones within, and with nothing that cannot be seen */
  name?: string;
  ref?: Ref;
};

/** Leave the room; one's streams and views end. Reply: `participantLeft` naming oneself. */
export type Leave = {
  type: 'leave';
  ref?: Ref;
};

/** Go to another room in one step on the same connection, name kept. Reply: `joined` of that room. */
export type Switch = {
  type: 'switch';
  /** a room name is 1 to 64 letters and digits of any script, '.', '_' or '-', each where its script has it (IdentifierClass of RFC 8264); taken in normal form C, case kept, compared folded */
  room: string;
  ref?: Ref;
};

/** Take another display name. Reply: `participantChanged`, which everybody in the room gets. */
export type Rename = {
  type: 'rename';
  /** a name is 1 to 64 characters, no control characters, not only spaces; a nickname (RFC 8266): taken in normal form KC, without spaces at its ends, with single ones within, and with nothing that cannot be seen */
  name: string;
  ref?: Ref;
};

/** Say something to everybody in the room. Reply: the `chat` that everybody gets. */
export type Chat = {
  type: 'chat';
  /** what is said, as plain text; no control characters but newlines and tabs */
  text: string;
  ref?: Ref;
};

/** Offer a stream to the room (an offer with `a=sendonly` media). Reply: `answer`. */
export type Publish = {
  type: 'publish';
  source: Source;
  /** a session description (RFC 8866) */
  sdp: string;
  ref?: Ref;
};

/** End one's own stream. Reply: `streamEnded`, which everybody in the room gets. */
export type Unpublish = {
  type: 'unpublish';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  ref?: Ref;
};

/** Ask for somebody's stream (an offer with `a=recvonly` media). Reply: `answer`. */
export type View = {
  type: 'view';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** a session description (RFC 8866) */
  sdp: string;
  ref?: Ref;
};

/** End one's view of a stream. Reply: `streamChanged` with `view` ended. */
export type Unview = {
  type: 'unview';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  ref?: Ref;
};

/**
 * One ICE candidate of the browser, as in RTCIceCandidateInit (W3C WebRTC section 4.8.1).
 *
 * It belongs to one's own stream of that id, or to one's view of it. A candidate whose
 * `usernameFragment` is not that of the endpoint's offer is stale and is dropped. No reply unless refused.
 */
export type Candidate = {
  type: 'candidate';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** candidate-attribute (RFC 8839 section 5.1); empty: the last one */
  candidate: string;
  /** the `a=mid` of the media section (RFC 5888 section 4) */
  sdpMid?: string;
  /** the media section, counted from 0 */
  sdpMLineIndex?: number;
  /** ice-ufrag (RFC 8839 section 5.4) */
  usernameFragment?: string;
  ref?: Ref;
};

/** Ask for a sign of life; always legal. Reply: `pong`. */
export type Ping = {
  type: 'ping';
  ref?: Ref;
};

/** On a new connection, take up the session that a lost one had. Reply: `joined` of its room. */
export type Resume = {
  type: 'resume';
  /** a secret that `welcome` told, to resume by */
  token: string;
  ref?: Ref;
};

export type ClientMessage =
  | Join
  | Leave
  | Switch
  | Rename
  | Chat
  | Publish
  | Unpublish
  | View
  | Unview
  | Candidate
  | Ping
  | Resume;

// What the server sends. Optional fields are left out where they have their default.

/** The first message of every connection: how to go on, and how to come back. */
export type Welcome = {
  type: 'welcome';
  /** the subprotocol */
  protocol: string;
  /** the server's name and version */
  server: string;
  /** who one is in every room, unless one resumes */
  session: string;
  /** a secret that `welcome` told, to resume by */
  resumeToken: string;
  /** seconds in which a lost connection may be resumed */
  resumeWindow: number;
  /** seconds between the server's websocket pings */
  heartbeat: number;
  /** those that need no credentials; `joined` tells the rest */
  iceServers: IceServer[];
  limits: Limits;
};

/** The room as it is, for one who enters it or comes back: everything later comes as changes to this. */
export type Joined = {
  type: 'joined';
  /** the room's name, written as by the one who opened it */
  room: string;
  /** the room's name folded: two names with one key are one room */
  key: string;
  /** which of the participants one is */
  you: string;
  state: RoomStateName;
  /** everybody, oneself among them */
  participants: ParticipantInfo[];
  streams: StreamInfo[];
  /** the last lines, oldest first */
  chat: ChatLine[];
  /** all, for RTCPeerConnections made from now on; credentials may end after a while */
  iceServers?: IceServer[];
  /** one had a seat here all along: it answers `resume` */
  resumed?: boolean;
  ref?: Ref;
};

/** Somebody entered the room. */
export type ParticipantJoined = {
  type: 'participantJoined';
  participant: ParticipantInfo;
};

/** Somebody left the room. */
export type ParticipantLeft = {
  type: 'participantLeft';
  /** one person; unguessable, the same in every room */
  participant: string;
  /** left, switched, or disconnected (resume window over, or the place was needed) */
  reason: string;
  ref?: Ref;
};

/** Somebody has another name, or is away or back, or has a name that looks like another's no more. */
export type ParticipantChanged = {
  type: 'participantChanged';
  participant: ParticipantInfo;
  ref?: Ref;
};

/** A presenter offers a stream; it may be viewed from now on, its media come when it is live. */
export type StreamStarted = {
  type: 'streamStarted';
  stream: StreamInfo;
};

/** A stream has another state or another number of viewers, or the recipient's own view of it has. */
export type StreamChanged = {
  type: 'streamChanged';
  stream: StreamInfo;
  /** the state of the recipient's own view, if it speaks of that */
  view?: ViewState;
  /** with `view`, why it has `ended` without having been asked to, in words; why it is `limited`: slow_path (the recipient's own connection is too slow for the picture) */
  reason?: string;
  ref?: Ref;
};

/** A stream is over, and so is every view of it. */
export type StreamEnded = {
  type: 'streamEnded';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** unpublished, left, failed, media_lost (its presenter should publish again), media_unavailable, media_full, or why the room closes */
  reason: string;
  ref?: Ref;
};

/** The media server's answer to the offer of a `publish` or `view` (RFC 3264). */
export type Answer = {
  type: 'answer';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** a session description (RFC 8866) */
  sdp: string;
  ref?: Ref;
};

/** One ICE candidate of the media server, for one's own stream of that id or one's view of it. */
export type CandidateFound = {
  type: 'candidate';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** candidate-attribute (RFC 8839 section 5.1); empty: the last one */
  candidate: string;
  /** the `a=mid` of the media section (RFC 5888 section 4) */
  sdpMid: string;
  /** the media section, counted from 0 */
  sdpMLineIndex: number;
};

/** Somebody said something. */
export type ChatSaid = {
  type: 'chat';
  line: ChatLine;
  ref?: Ref;
};

/** The room's machine entered another state. */
export type RoomStateChanged = {
  type: 'roomState';
  state: RoomStateName;
  /** how many are in the room */
  participants: number;
  /** how many streams the room has */
  streams: number;
};

/** A message was refused, or what it asked for failed; the session and the room go on. */
export type ErrorMessage = {
  type: 'error';
  code: ErrorCode;
  /** what is wrong, in words */
  detail: string;
  /** the type of the message that was refused */
  message?: string;
  /** with `illegal_in_state`: the machine that refuses */
  machine?: string;
  /** with `illegal_in_state`: the state that machine is in */
  state?: string;
  /** with `illegal_in_state`: the messages that are legal instead */
  allowed?: string[];
  /** with `malformed`: the field at fault, '$' being the whole */
  path?: string;
  /** the stream that the message named or asked for */
  stream?: string;
  ref?: Ref;
};

/** A sign of life. */
export type Pong = {
  type: 'pong';
  /** with new credentials, when those told last have half their time behind them */
  iceServers?: IceServer[];
  ref?: Ref;
};

/** The room (`scope` room: join another, or this one again) or the server (`scope` server) is closing. */
export type Closing = {
  type: 'closing';
  scope: 'room' | 'server';
  /** shutdown, room_failed, or what an administrator gave */
  reason: string;
};

export type ServerMessage =
  | Welcome
  | Joined
  | ParticipantJoined
  | ParticipantLeft
  | ParticipantChanged
  | StreamStarted
  | StreamChanged
  | StreamEnded
  | Answer
  | CandidateFound
  | ChatSaid
  | RoomStateChanged
  | ErrorMessage
  | Pong
  | Closing;

/** The reply that a message gets when it is not refused. */
export interface Replies {
  join: Joined;
  leave: ParticipantLeft;
  switch: Joined;
  rename: ParticipantChanged;
  chat: ChatSaid;
  publish: Answer;
  unpublish: StreamEnded;
  view: Answer;
  unview: StreamChanged;
  ping: Pong;
  resume: Joined;
}
