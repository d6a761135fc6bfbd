// The messages of roomfsm.v1 as types, for the compiler only: no browser loads this file.
// Made from roomfsm/protocol and roomfsm/lifecycle by `uv run python -m roomfsm.documents`.

/** A person who may not enter the room for a time. */
export type BanInfo = {
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  /** the display name that the person had */
  name: string;
  /** when the ban ends, in milliseconds since 1970 (UTC) */
  until: number;
};

/** One line of chat. */
export type ChatLine = {
  /** the number of the line; each line to everybody has the next number, and a private line has the number of the last one before it */
  seq: number;
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  /** the display name that the speaker had then */
  name: string;
  /** with `file`, it is the file's name */
  text: string;
  /** milliseconds since 1970 (UTC) */
  at: number;
  /** the line is private: only the speaker and this person get it */
  to?: string;
  /** the line that this one answers */
  replyTo?: number;
  /** the file that the speaker has sent */
  file?: FileInfo;
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
  | 'restart_refused'
  | 'sdp_invalid'
  | 'media_unavailable'
  | 'media_full'
  | 'media_failed'
  | 'ended'
  | 'session_unknown'
  | 'not_permitted'
  | 'no_such_participant'
  | 'muted'
  | 'participant_away'
  | 'no_such_line'
  | 'no_files'
  | 'file_too_large'
  | 'files_full'
  | 'files_busy'
  | 'file_incomplete'
  | 'file_late'
  | 'no_such_file'
  | 'yourself'
  | 'not_banned'
  | 'banned'
  | 'locked'
  | 'denied'
  | 'lobby_full'
  | 'token_invalid'
  | 'token_expired'
  | 'password_wrong'
  | 'store_unavailable'
  | 'room_closed';

/** A file of the chat. */
export type FileInfo = {
  /** the name of a file; the server replaces what no computer takes in one (control characters, slashes and the like), and leaves out characters that change the direction of the text */
  name: string;
  /** how many bytes a file has */
  size: number;
  /** what the server found the bytes to be: one of image/png, image/jpeg, image/gif, image/webp and image/avif, which pages may show; anything else is application/octet-stream, which they may only offer to save */
  mediaType: string;
  /** where it can be fetched (HTTP `GET`) as long as the line exists, relative to the address of the websocket; nobody can guess it */
  path: string;
  /** when it is removed at the latest, in milliseconds since 1970 (UTC); without it, the file stays as long as its line */
  until?: number;
};

/** A STUN or TURN server for the browser, as in RTCIceServer (W3C WebRTC section 4.2.2). */
export type IceServer = {
  urls: string[];
  username?: string;
  credential?: string;
};

/** Limits that a client should know before it reaches them. */
export type Limits = {
  /** the longest message that a client may send, in bytes */
  messageBytes: number;
  /** how many messages a client may send at once */
  messageBurst: number;
  /** how many messages a second a client may send on average */
  messageRate: number;
  /** how many characters a line of chat may have */
  chatText: number;
  /** how many characters a display name may have */
  displayName: number;
  /** how many people may be in a room */
  people: number;
  /** how many people may present in a room at the same time */
  presenters: number;
  /** how many streams one person may view at the same time */
  views: number;
  /** how many candidates are kept for an endpoint that is not ready yet */
  candidates: number;
  /** how many lines of chat a person may send at once (otherwise `rate_limited`) */
  toldBurst?: number;
  /** how many lines of chat a second a person may send on average */
  toldRate?: number;
  /** how many bytes a person may send to everybody at once */
  toldBytes?: number;
  /** how many bytes a file may have; none: the server takes no files */
  fileBytes?: number;
};

/** One person in the room. */
export type ParticipantInfo = {
  /** the id of one person; nobody can guess it, and it is the same in every room */
  id: string;
  /** the display name */
  name: string;
  /** the person's connection is lost, and the session may still be resumed */
  away?: boolean;
  /** another person, who took it earlier, has a name that looks the same (UTS 39) */
  lookalike?: boolean;
  /** what the person may do */
  role?: Role;
  /** the hand is raised; a hand with a smaller number was raised earlier */
  hand?: number;
  /** the microphone is on, or off; none: the person's client has not told */
  microphone?: boolean;
  /** the camera is on, or off; none: the person's client has not told */
  camera?: boolean;
  /** whether a moderator has muted the person */
  sound?: SoundState;
};

/** A reaction. Clients choose how they draw it. */
export type Reaction = 'applause' | 'heart' | 'laugh' | 'party' | 'surprise' | 'thumbsUp';

/** What somebody has shown. */
export type ReactionInfo = {
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  reaction: Reaction;
};

/** a mark that the sender gives a message; the reply repeats it */
export type Ref = number | string;

/**
 * What a person may do in a room. Each role may do all that the roles before it may.
 *
 * Compare roles by `includes`: `<` and `>` compare them as words, because they are strings.
 */
export type Role = 'moderator' | 'presenter' | 'viewer';

/** a state of the machine `room` */
export type RoomStateName = 'empty' | 'waiting' | 'broadcasting' | 'closing';

/** How a viewer sees a stream's picture. */
export type Size = 'large' | 'medium' | 'none' | 'small';

/** a state of the machine `sound` */
export type SoundState = 'audible' | 'muted' | 'held';

/** What a presenter's stream shows. A presenter has at most one stream of each kind. */
export type Source = 'camera' | 'screen';

/** One stream of the room. */
export type StreamInfo = {
  /** participant id, '.', source: 'p4k2….camera' */
  id: string;
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  source: Source;
  state: StreamState;
  /** counts how often its presenter has published it: 1, 2, … */
  generation: number;
  /** how many people view it */
  viewers: number;
};

/** a state of the machine `stream` */
export type StreamState = 'negotiating' | 'live' | 'stalled' | 'ended';

/** a state of the machine `view` */
export type ViewState = 'negotiating' | 'live' | 'stalled' | 'limited' | 'paused' | 'ended';

/** A person who waits in the lobby. */
export type Waiting = {
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  /** the display name */
  name: string;
  /** when the person came, in milliseconds since 1970 (UTC) */
  since: number;
};

// What a client sends.

/**
 * Enter a room. If the room does not exist yet, it is opened. Reply: `joined`.
 *
 * If the room has a lobby, the client gets `knocking` first, and `joined` or an `error` when a moderator decides.
 * A room may need a `token` or a `password`. The token's name is taken, unless the message has one. A token that
 * the session has shown in an earlier `join` or `switch` stays in force, unless the message has another one: it
 * holds in this room if it is for it.
 */
export type Join = {
  type: 'join';
  /** a room name is 1 to 64 letters and digits of any script, '.', '_' or '-', each only where its script allows it (IdentifierClass of RFC 8264); the server converts it to normal form C, keeps its case, and compares names without regard to case */
  room: string;
  /** a name is 1 to 64 characters, no control characters, not only spaces; it is a nickname (RFC 8266): the server converts it to normal form KC, removes spaces at its ends and repeated spaces, and refuses invisible characters */
  name?: string;
  /** a JWT that says who somebody is, and in which rooms with which role */
  token?: string;
  /** the password of a room */
  password?: string;
  ref?: Ref;
};

/** Leave the room. The sender's streams and views end. Reply: `participantLeft` with the sender's own id. */
export type Leave = {
  type: 'leave';
  ref?: Ref;
};

/**
 * Go to another room in one step, keeping the name and the connection. Reply: `joined` of that room.
 *
 * The token of the `join` is kept, too. It holds in the other room if it is for that room as well.
 */
export type Switch = {
  type: 'switch';
  /** a room name is 1 to 64 letters and digits of any script, '.', '_' or '-', each only where its script allows it (IdentifierClass of RFC 8264); the server converts it to normal form C, keeps its case, and compares names without regard to case */
  room: string;
  /** a JWT that says who somebody is, and in which rooms with which role */
  token?: string;
  /** the password of a room */
  password?: string;
  ref?: Ref;
};

/** Take another display name. Reply: `participantChanged`, which everybody in the room gets. */
export type Rename = {
  type: 'rename';
  /** a name is 1 to 64 characters, no control characters, not only spaces; it is a nickname (RFC 8266): the server converts it to normal form KC, removes spaces at its ends and repeated spaces, and refuses invisible characters */
  name: string;
  ref?: Ref;
};

/**
 * Say something to everybody in the room, or in private to one person. Reply: the `chat` that they get.
 *
 * With `to`, only that person and the sender get the line, and nobody gets it later. `replyTo` is the line that
 * this one answers.
 */
export type Chat = {
  type: 'chat';
  /** the text, without formatting; the only control characters are newlines and tabs */
  text: string;
  /** the id of one person; nobody can guess it, and it is the same in every room */
  to?: string;
  /** the `seq` of a line of chat */
  replyTo?: number;
  ref?: Ref;
};

/**
 * Announce a file for the chat, for everybody in the room, or in private for one person. Reply: `upload`.
 *
 * The reply says where the client sends the bytes (HTTP `PUT`). When they are there, the people get a `chat`
 * whose line has the `file`. `to` and `replyTo` are the same as in `chat`.
 */
export type SendFile = {
  type: 'sendFile';
  /** the name of a file; the server replaces what no computer takes in one (control characters, slashes and the like), and leaves out characters that change the direction of the text */
  name: string;
  /** how many bytes a file has */
  size: number;
  /** the id of one person; nobody can guess it, and it is the same in every room */
  to?: string;
  /** the `seq` of a line of chat */
  replyTo?: number;
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

/** End the sender's own stream. Reply: `streamEnded`, which everybody in the room gets. */
export type Unpublish = {
  type: 'unpublish';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  ref?: Ref;
};

/** End anybody's stream, as a moderator. Reply: `streamEnded`, which everybody in the room gets. */
export type EndStream = {
  type: 'endStream';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  ref?: Ref;
};

/**
 * Ask for somebody's stream (an offer with `a=recvonly` media). Reply: `answer`.
 *
 * With `size` *none*, the picture is not sent before an `adjust` asks for it.
 */
export type View = {
  type: 'view';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** a session description (RFC 8866) */
  sdp: string;
  size?: Size;
  ref?: Ref;
};

/** Stop viewing a stream. Reply: `streamChanged` with `view` ended. */
export type Unview = {
  type: 'unview';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  ref?: Ref;
};

/**
 * Tell how large the picture of a viewed stream is seen. Reply: `streamChanged` with `view`.
 *
 * With *none*, the picture is not sent, and the sound still is. When it is wanted again, it begins with a
 * keyframe, over the same media connection. If the presenter sends it in several layers, *small* asks for the
 * smallest one, and *medium* for the middle one of three at most.
 */
export type Adjust = {
  type: 'adjust';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  size: Size;
  ref?: Ref;
};

/**
 * One ICE candidate of the browser, as in RTCIceCandidateInit (W3C WebRTC section 4.8.1).
 *
 * It belongs to the sender's own stream with that id, or to the sender's view of it. A candidate whose
 * `usernameFragment` is not that of the endpoint's offer is stale and is dropped. There is no reply, unless it is
 * refused.
 */
export type Candidate = {
  type: 'candidate';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** a candidate-attribute (RFC 8839 section 5.1); an empty text ends the candidates */
  candidate: string;
  /** the `a=mid` of the media section (RFC 5888 section 4) */
  sdpMid?: string;
  /** the media section, counted from 0 */
  sdpMLineIndex?: number;
  /** ice-ufrag (RFC 8839 section 5.4) */
  usernameFragment?: string;
  ref?: Ref;
};

/**
 * Restart the media connection of a stream or view (RFC 8445 section 9), because the network has changed.
 *
 * It belongs to the sender's own stream with that id, or to the sender's view of it. The offer comes from the
 * same RTCPeerConnection, after `restartIce()`. Reply: `answer`. The stream or view goes on meanwhile, and also
 * if this is refused.
 */
export type Restart = {
  type: 'restart';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** a session description (RFC 8866) */
  sdp: string;
  ref?: Ref;
};

/** Ask to speak. Hands are in the order in which they were raised. Reply: `participantChanged`. */
export type RaiseHand = {
  type: 'raiseHand';
  ref?: Ref;
};

/** Lower the own hand; a moderator may lower the hand of another person. Reply: `participantChanged`. */
export type LowerHand = {
  type: 'lowerHand';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant?: string;
  ref?: Ref;
};

/**
 * Tell everybody whether the sender's microphone and camera are on. Reply: `participantChanged`.
 *
 * Somebody whom a moderator has muted is heard again with `microphone`, unless the moderator holds the sound.
 */
export type Media = {
  type: 'media';
  microphone: boolean;
  camera: boolean;
  ref?: Ref;
};

/**
 * Tell that the sender begins or ceases to speak. There is no reply, unless it is refused.
 *
 * Everybody gets `speaking` a little later, which says who speaks by then. It changes nothing while the media
 * server hears the sender.
 */
export type Speaking = {
  type: 'speaking';
  speaking: boolean;
  ref?: Ref;
};

/**
 * Show a reaction to everybody for a moment. There is no reply, unless it is refused.
 *
 * Everybody gets `reacted` a little later, with all reactions since the one before.
 */
export type React = {
  type: 'react';
  reaction: Reaction;
  ref?: Ref;
};

/**
 * Mute a person, as a moderator: nobody hears the person any more. Reply: `participantChanged`.
 *
 * The person may turn the microphone on again (`media`), unless `hold` says that only a moderator may end it. It
 * ends with the person's seat: somebody who leaves and comes again is heard.
 */
export type Mute = {
  type: 'mute';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  /** whether only a moderator may end it, and not the person */
  hold?: boolean;
  ref?: Ref;
};

/**
 * Let a person be heard whom a moderator has muted. Only moderators may. Reply: `participantChanged`.
 *
 * It does not turn on the person's microphone, which only the person can do.
 */
export type Unmute = {
  type: 'unmute';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  ref?: Ref;
};

/** Put a person out of the room, as a moderator. Reply: `participantLeft`, which everybody gets. */
export type Kick = {
  type: 'kick';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  ref?: Ref;
};

/**
 * Put a person out of the room, and do not let that person in for a time.
 *
 * Only moderators may. Reply: `participantLeft`, which everybody gets.
 */
export type Ban = {
  type: 'ban';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  /** how long the ban holds, in seconds */
  seconds?: number;
  ref?: Ref;
};

/** Let a person whom a moderator has banned enter the room again. Only moderators may. Reply: `bans`. */
export type Unban = {
  type: 'unban';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  ref?: Ref;
};

/** Give another person a role, as a moderator. Reply: `participantChanged`, which everybody gets. */
export type SetRole = {
  type: 'setRole';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  role: Role;
  ref?: Ref;
};

/** Let a person enter who waits in the lobby, or everybody who does. Only moderators may. Reply: `lobby`. */
export type Admit = {
  type: 'admit';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant?: string;
  ref?: Ref;
};

/**
 * Refuse a person who waits in the lobby, or everybody who does. Only moderators may. Reply: `lobby`.
 *
 * With `seconds`, nobody who is refused may knock again for that time. It is a ban, and `unban` ends it.
 */
export type Deny = {
  type: 'deny';
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant?: string;
  /** seconds before whoever is denied may knock again; none if it is left out */
  seconds?: number;
  ref?: Ref;
};

/**
 * Change the rules of the room; what is left out stays as it is. Only moderators may. Reply: `roomChanged`.
 *
 * `lobby` makes newcomers wait until a moderator admits them, `role` is the role of people who enter without a
 * token, and `listed` says whether the server lists the room. `files` says whether people may send files.
 */
export type Configure = {
  type: 'configure';
  /** whether newcomers wait until a moderator admits them */
  lobby?: boolean;
  /** the role of people who enter without a token */
  role?: Role;
  /** whether the server lists the room for everybody */
  listed?: boolean;
  /** whether people may send files to the chat */
  files?: boolean;
  ref?: Ref;
};

/** Let nobody else enter the room. Only moderators may. Reply: `roomChanged`, which everybody gets. */
export type Lock = {
  type: 'lock';
  ref?: Ref;
};

/** Let people enter the room again. Only moderators may. Reply: `roomChanged`, which everybody gets. */
export type Unlock = {
  type: 'unlock';
  ref?: Ref;
};

/** Forget all lines of chat. Only moderators may. Reply: `chatCleared`, which everybody gets. */
export type ClearChat = {
  type: 'clearChat';
  ref?: Ref;
};

/** Delete a line of chat. Its speaker and moderators may. Reply: `lineDeleted`, which everybody gets. */
export type DeleteLine = {
  type: 'deleteLine';
  /** the `seq` of a line of chat */
  line: number;
  ref?: Ref;
};

/** Close the room, as a moderator. Everybody has to leave it. Reply: `closing`, which everybody gets. */
export type CloseRoom = {
  type: 'closeRoom';
  ref?: Ref;
};

/**
 * Ask the server whether it is alive. This message is always legal. Reply: `pong`.
 *
 * `firstFrame` reports how long the page has just waited for a picture. The server only counts it.
 */
export type Ping = {
  type: 'ping';
  /** how many seconds passed from a message `view` until the page showed the first picture */
  firstFrame?: number;
  ref?: Ref;
};

/**
 * Continue the session of a lost connection on this new connection. Reply: `joined` of the session's room.
 *
 * A session that waits in a lobby waits no longer. It is continued, but in no room, and the reply is the error
 * `ended`.
 */
export type Resume = {
  type: 'resume';
  /** a secret from `welcome`, with which a session is resumed */
  token: string;
  ref?: Ref;
};

export type ClientMessage =
  | Join
  | Leave
  | Switch
  | Rename
  | Chat
  | SendFile
  | Publish
  | Unpublish
  | EndStream
  | View
  | Unview
  | Adjust
  | Candidate
  | Restart
  | RaiseHand
  | LowerHand
  | Media
  | Speaking
  | React
  | Mute
  | Unmute
  | Kick
  | Ban
  | Unban
  | SetRole
  | Admit
  | Deny
  | Configure
  | Lock
  | Unlock
  | ClearChat
  | DeleteLine
  | CloseRoom
  | Ping
  | Resume;

// What the server sends. Optional fields are left out where they have their default.

/** The first message of every connection: the client's id, how to come back, and the limits. */
export type Welcome = {
  type: 'welcome';
  /** the subprotocol */
  protocol: string;
  /** the server's name and version */
  server: string;
  /** the client's id in every room, unless it resumes an earlier session */
  session: string;
  /** a secret from `welcome`, with which a session is resumed */
  resumeToken: string;
  /** how many seconds the client has to come back after it lost its connection */
  resumeWindow: number;
  /** seconds between the server's websocket pings */
  heartbeat: number;
  /** the servers that need no credentials; `joined` has all of them */
  iceServers: IceServer[];
  limits: Limits;
};

/** The room as it is now, sent to a person who enters it or comes back. Later messages tell what changes. */
export type Joined = {
  type: 'joined';
  /** the room's name, as the person who opened the room wrote it */
  room: string;
  /** the name in the form in which it is compared: names with the same key mean the same room */
  key: string;
  /** the recipient's own id among the participants */
  you: string;
  state: RoomStateName;
  /** everybody in the room, including the recipient */
  participants: ParticipantInfo[];
  streams: StreamInfo[];
  /** the last lines of chat, the oldest first */
  chat: ChatLine[];
  /** all STUN and TURN servers, for new RTCPeerConnections; credentials may expire */
  iceServers?: IceServer[];
  /** nobody else may enter the room */
  locked?: boolean;
  /** who speaks at the moment */
  speaking?: string[];
  /** newcomers wait until a moderator admits them */
  lobby?: boolean;
  /** the role of people who enter without a token */
  newcomers?: Role;
  /** the server lists the room */
  listed?: boolean;
  /** people may send files to the chat */
  files?: boolean;
  /** in how many layers a picture may be published (simulcast, RFC 8853); none: in one, because the media server does not take several */
  layers?: number;
  /** this answers `resume`: the recipient has had a seat here all the time */
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
  /** the id of one person; nobody can guess it, and it is the same in every room */
  participant: string;
  /** left, switched, kicked, banned, or disconnected (the resume window was over, or the place was needed) */
  reason: string;
  ref?: Ref;
};

/**
 * Something about a person has changed.
 *
 * It is the name, the role, the raised hand, microphone or camera, whether a moderator has muted the person, or
 * whether the person is away.
 */
export type ParticipantChanged = {
  type: 'participantChanged';
  participant: ParticipantInfo;
  ref?: Ref;
};

/** Who speaks at the moment: all of them. The server sends it at most every `speaking_interval`. */
export type SpeakingNow = {
  type: 'speaking';
  participants: string[];
};

/** What people have shown since the message before. The server sends it at most every `speaking_interval`. */
export type Reacted = {
  type: 'reacted';
  /** the oldest first; if there are very many, some are left out */
  reactions: ReactionInfo[];
};

/** A moderator has muted the recipient, whose client should turn the microphone off. */
export type Muted = {
  type: 'muted';
  /** the moderator */
  by: string;
  /** only a moderator can end it */
  hold?: boolean;
};

/** A moderator has changed who may enter the room, or as what. */
export type RoomChanged = {
  type: 'roomChanged';
  /** nobody else may enter the room */
  locked: boolean;
  /** newcomers wait until a moderator admits them */
  lobby?: boolean;
  /** the role of people who enter without a token */
  newcomers?: Role;
  /** the server lists the room */
  listed?: boolean;
  /** people may send files to the chat */
  files?: boolean;
  ref?: Ref;
};

/**
 * The room has a lobby, and the recipient waits there. A moderator decides; then comes `joined` or an `error`.
 *
 * Meanwhile the recipient is in no room. A client that was in another room has left it. Whoever does not want to
 * wait sends `leave`: then the `join` or `switch` is answered by the error `ended`, and the `leave` by
 * `participantLeft`.
 */
export type Knocking = {
  type: 'knocking';
  /** the room's name, as the person who opened the room wrote it */
  room: string;
  /** the name in the form in which it is compared */
  key: string;
};

/** Everybody who waits in the lobby, for the moderators of the room. The first has waited longest. */
export type LobbyChanged = {
  type: 'lobby';
  waiting: Waiting[];
  ref?: Ref;
};

/** Everybody who is banned from the room, for its moderators. */
export type Bans = {
  type: 'bans';
  bans: BanInfo[];
  ref?: Ref;
};

/** A moderator has deleted all lines of chat. */
export type ChatCleared = {
  type: 'chatCleared';
  ref?: Ref;
};

/** A moderator, or its speaker, has deleted a line of chat. */
export type LineDeleted = {
  type: 'lineDeleted';
  /** the `seq` of a line of chat */
  line: number;
  ref?: Ref;
};

/** A presenter offers a stream. It may be viewed from now on; media flow once it is live. */
export type StreamStarted = {
  type: 'streamStarted';
  stream: StreamInfo;
};

/** The state or the number of viewers of a stream changed, or the state of the recipient's own view of it. */
export type StreamChanged = {
  type: 'streamChanged';
  stream: StreamInfo;
  /** the state of the recipient's own view, if the message is about that */
  view?: ViewState;
  /** with `view`: why the view has `ended` by itself, in words; or why it is `limited`: slow_path (the recipient's own connection is too slow for the picture) */
  reason?: string;
  ref?: Ref;
};

/**
 * Which simulcast layers of the recipient's own stream are of use. Its client need not send the others.
 *
 * It begins with all of them.
 */
export type LayersWanted = {
  type: 'layers';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** the rids of the layers (RFC 8851) */
  layers: string[];
};

/** A stream is over, and so is every view of it. */
export type StreamEnded = {
  type: 'streamEnded';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** unpublished, moderator (a moderator ended it), left, failed, media_lost (its presenter should publish again), media_unavailable, media_full, or why the room closes */
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
  /** the media server finds out by the sound whether the recipient speaks, so the client need not send `speaking` */
  hears?: boolean;
  ref?: Ref;
};

/** One ICE candidate of the media server, for the recipient's own stream with that id or view of it. */
export type CandidateFound = {
  type: 'candidate';
  /** participant id, '.', source: 'p4k2….camera' */
  stream: string;
  /** a candidate-attribute (RFC 8839 section 5.1); an empty text ends the candidates */
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

/** A place is kept for the file that the recipient has announced, who may send its bytes now, once. */
export type Upload = {
  type: 'upload';
  /** where the bytes go (HTTP `PUT`), relative to the address of the websocket: with `wss://host/ws` and `files/x` it is `https://host/files/x` */
  path: string;
  /** within so many seconds the bytes must begin to come */
  seconds: number;
  ref?: Ref;
};

/** The room's state changed. */
export type RoomStateChanged = {
  type: 'roomState';
  state: RoomStateName;
  /** how many people are in the room */
  participants: number;
  /** how many streams the room has */
  streams: number;
};

/** A message was refused, or what it asked for failed. The session and the room continue. */
export type ErrorMessage = {
  type: 'error';
  code: ErrorCode;
  /** what is wrong, in a sentence */
  detail: string;
  /** the type of the message that was refused */
  message?: string;
  /** with `illegal_in_state`: the machine that refuses */
  machine?: string;
  /** with `illegal_in_state`: the state that machine is in */
  state?: string;
  /** with `illegal_in_state`: the messages that are legal instead */
  allowed?: string[];
  /** with `malformed`: the field that is wrong; '$' is the whole message */
  path?: string;
  /** the stream that the message was about */
  stream?: string;
  /** with `not_permitted`: the least role that may do it */
  role?: Role;
  ref?: Ref;
};

/** The answer to `ping`. */
export type Pong = {
  type: 'pong';
  /** servers with new credentials, once half the time of the old ones is over */
  iceServers?: IceServer[];
  ref?: Ref;
};

/**
 * The room (`scope` room: the client may join a room again) or the server (`scope` server) is closing.
 *
 * A server that closes with the reason `restarting` leaves the streams and views as they are, and its next run
 * goes on with them. The client keeps its media connections, connects again, and resumes its session.
 *
 * With `seconds`, the server closes only after that time. Until then everything goes on, but no room is opened.
 * The message comes again while the time runs out.
 */
export type Closing = {
  type: 'closing';
  scope: 'room' | 'server';
  /** shutdown, restarting (the server is back in a moment, and media go on), room_failed, moderator (a moderator closed the room), or the reason that an administrator gave */
  reason: string;
  /** how many seconds are left until the server closes; 0: it closes now */
  seconds?: number;
  ref?: Ref;
};

export type ServerMessage =
  | Welcome
  | Joined
  | ParticipantJoined
  | ParticipantLeft
  | ParticipantChanged
  | SpeakingNow
  | Reacted
  | Muted
  | RoomChanged
  | Knocking
  | LobbyChanged
  | Bans
  | ChatCleared
  | LineDeleted
  | StreamStarted
  | StreamChanged
  | LayersWanted
  | StreamEnded
  | Answer
  | CandidateFound
  | ChatSaid
  | Upload
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
  sendFile: Upload;
  publish: Answer;
  unpublish: StreamEnded;
  endStream: StreamEnded;
  view: Answer;
  unview: StreamChanged;
  adjust: StreamChanged;
  restart: Answer;
  raiseHand: ParticipantChanged;
  lowerHand: ParticipantChanged;
  media: ParticipantChanged;
  mute: ParticipantChanged;
  unmute: ParticipantChanged;
  kick: ParticipantLeft;
  ban: ParticipantLeft;
  unban: Bans;
  setRole: ParticipantChanged;
  admit: LobbyChanged;
  deny: LobbyChanged;
  configure: RoomChanged;
  lock: RoomChanged;
  unlock: RoomChanged;
  clearChat: ChatCleared;
  deleteLine: LineDeleted;
  closeRoom: Closing;
  ping: Pong;
  resume: Joined;
}
