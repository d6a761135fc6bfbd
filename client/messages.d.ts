// The messages of roomfsm.v1 as types, for the compiler only: no browser loads this file.

export type Source = 'camera' | 'screen';
export type Ref = number | string;

export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

export interface Limits {
  messageBytes: number;
  messageBurst: number;
  messageRate: number;
  chatText: number;
  displayName: number;
  people: number;
  presenters: number;
  views: number;
  candidates: number;
}

export interface ParticipantInfo {
  id: string;
  name: string;
  away?: boolean;
}

export type StreamState = 'negotiating' | 'live' | 'stalled' | 'ended';

export interface StreamInfo {
  id: string;
  participant: string;
  source: Source;
  state: StreamState;
  generation: number;
  viewers: number;
}

/** `seq` counts up by one in a room; `at` is milliseconds since 1970 (UTC). */
export interface ChatLine {
  seq: number;
  participant: string;
  name: string;
  text: string;
  at: number;
}

// What a client sends. `ref`, if given, is repeated by the reply.

export type Join = { type: 'join'; room: string; name?: string; ref?: Ref };
export type Leave = { type: 'leave'; ref?: Ref };
export type Switch = { type: 'switch'; room: string; ref?: Ref };
export type Rename = { type: 'rename'; name: string; ref?: Ref };
export type Chat = { type: 'chat'; text: string; ref?: Ref };
export type Publish = { type: 'publish'; source: Source; sdp: string; ref?: Ref };
export type Unpublish = { type: 'unpublish'; stream: string; ref?: Ref };
export type View = { type: 'view'; stream: string; sdp: string; ref?: Ref };
export type Unview = { type: 'unview'; stream: string; ref?: Ref };
export type Candidate = {
  type: 'candidate';
  stream: string;
  candidate: string;
  sdpMid?: string;
  sdpMLineIndex?: number;
  usernameFragment?: string;
  ref?: Ref;
};
export type Ping = { type: 'ping'; ref?: Ref };
export type Resume = { type: 'resume'; token: string; ref?: Ref };

export type ClientMessage =
  Join | Leave | Switch | Rename | Chat | Publish | Unpublish | View | Unview | Candidate | Ping | Resume;

// What the server sends. Optional fields are left out where they have their default.

export type Welcome = {
  type: 'welcome';
  protocol: string;
  server: string;
  session: string;
  resumeToken: string;
  resumeWindow: number;
  heartbeat: number;
  iceServers: IceServer[];
  limits: Limits;
};
export type Joined = {
  type: 'joined';
  room: string;
  you: string;
  state: string;
  participants: ParticipantInfo[];
  streams: StreamInfo[];
  chat: ChatLine[];
  resumed?: boolean;
  ref?: Ref;
};
export type ParticipantJoined = { type: 'participantJoined'; participant: ParticipantInfo };
export type ParticipantLeft = { type: 'participantLeft'; participant: string; reason: string; ref?: Ref };
export type ParticipantChanged = { type: 'participantChanged'; participant: ParticipantInfo; ref?: Ref };
export type StreamStarted = { type: 'streamStarted'; stream: StreamInfo };
export type StreamChanged = {
  type: 'streamChanged';
  stream: StreamInfo;
  view?: StreamState;
  reason?: string;
  ref?: Ref;
};
export type StreamEnded = { type: 'streamEnded'; stream: string; reason: string; ref?: Ref };
export type Answer = { type: 'answer'; stream: string; sdp: string; ref?: Ref };
export type CandidateFound = {
  type: 'candidate';
  stream: string;
  candidate: string;
  sdpMid: string;
  sdpMLineIndex: number;
};
export type ChatSaid = { type: 'chat'; line: ChatLine; ref?: Ref };
export type RoomStateChanged = { type: 'roomState'; state: string; participants: number; streams: number };
export type ErrorMessage = {
  type: 'error';
  code: ErrorCode;
  detail: string;
  message?: string;
  machine?: string;
  state?: string;
  allowed?: string[];
  path?: string;
  stream?: string;
  ref?: Ref;
};
export type Pong = { type: 'pong'; ref?: Ref };
export type Closing = { type: 'closing'; scope: 'room' | 'server'; reason: string };

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

export type ErrorCode =
  | 'malformed'
  | 'unknown_message'
  | 'illegal_in_state'
  | 'rate_limited'
  | 'server_full'
  | 'server_closing'
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
  | 'media_failed'
  | 'ended'
  | 'session_unknown'
  | 'room_closed';

/** One room as `GET /api/rooms` tells it. */
export interface RoomSummary {
  name: string;
  participants: number;
  streams: number;
  state: string;
}
