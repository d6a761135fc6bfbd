// The known state of the room. Only the server's messages change it. There is no I/O.

/** @import {BanInfo, ChatLine, Joined, ParticipantInfo, ServerMessage, StreamInfo, Waiting} from '../wire/messages.d.ts' */

const MAX_LINES = 1000;

/** @typedef {'people' | 'speaking' | 'streams' | 'chat' | 'room'} Part */

export class RoomState {
  /** @param {Joined} joined */
  constructor(joined) {
    this.name = joined.room;
    /** The key is the same for all spellings of the name. Only the server can make it. */
    this.key = joined.key;
    this.you = joined.you;
    this.state = joined.state;
    /** @type {Map<string, ParticipantInfo>} */
    this.participants = new Map(joined.participants.map((participant) => [participant.id, participant]));
    /** @type {Map<string, StreamInfo>} */
    this.streams = new Map(joined.streams.map((stream) => [stream.id, stream]));
    this.chat = mergeChat([], joined.chat);
    /** The lines that were on the page before the room was opened anew, which the server does not know any more. @type {ChatLine[]} */
    this.before = [];
    this.locked = joined.locked ?? false;
    /** The ids of those who speak. */
    this.speaking = new Set(joined.speaking ?? []);
    this.lobby = joined.lobby ?? false;
    /** The role of people who enter without a token. */
    this.newcomers = joined.newcomers;
    /** Whether people may send files. */
    this.files = joined.files ?? false;
    /** Who waits in the lobby, for moderators. @type {Waiting[]} */
    this.waiting = [];
    /** Who may not enter, for moderators. @type {BanInfo[]} */
    this.bans = [];
  }

  /**
   * Use the snapshot that a resumed session gets, and keep chat lines that are older than its history.
   * @param {Joined} joined
   * @returns {RoomState}
   */
  resumed(joined) {
    const next = new RoomState(joined);
    if (joined.key === this.key) {
      // What the snapshot lacks was deleted meanwhile.
      const since = joined.chat[0]?.seq ?? Infinity;
      const before = this.chat.filter((line) => line.to !== undefined || line.seq < since);
      next.chat = mergeChat(before, joined.chat);
      next.before = this.before;
    }
    return next;
  }

  /**
   * Use the snapshot of the same room that is entered again with a new session. It may be another room by the same
   * name: after the server was restarted, or the last person has left, the lines are counted from the start. Then what
   * was on the page stays there as from before.
   * @param {Joined} joined
   * @returns {RoomState}
   */
  reentered(joined) {
    const known = new Map(this.chat.filter((line) => line.to === undefined).map((line) => [line.seq, line]));
    const goesOn = joined.chat.some(({ seq, at, text }) => {
      const line = known.get(seq);
      return line?.at === at && line.text === text;
    });
    if (goesOn) return this.resumed(joined);
    const next = new RoomState(joined);
    next.before = [...this.before, ...this.chat].slice(-MAX_LINES);
    return next;
  }

  /**
   * @param {ServerMessage} message
   * @returns {Part | null} what it changed
   */
  apply(message) {
    switch (message.type) {
      case 'participantJoined':
      case 'participantChanged':
        this.participants.set(message.participant.id, message.participant);
        return 'people';
      case 'participantLeft':
        this.participants.delete(message.participant);
        this.speaking.delete(message.participant);
        return 'people';
      case 'speaking':
        this.speaking = new Set(message.participants);
        return 'speaking';
      case 'streamStarted':
        this.streams.set(message.stream.id, message.stream);
        return 'streams';
      case 'streamChanged':
        // The end of a view may be reported after the end of its stream. It must not create the stream again.
        if (!this.streams.has(message.stream.id)) return null;
        this.streams.set(message.stream.id, message.stream);
        return 'streams';
      case 'streamEnded':
        this.streams.delete(message.stream);
        return 'streams';
      case 'chat':
        this.chat = mergeChat(this.chat, [message.line]);
        return 'chat';
      case 'chatCleared':
        this.chat = [];
        this.before = [];
        return 'chat';
      case 'lineDeleted':
        this.chat = this.chat.filter((line) => line.to !== undefined || line.seq !== message.line);
        return 'chat';
      case 'roomChanged':
        this.locked = message.locked;
        this.lobby = message.lobby ?? false;
        this.newcomers = message.newcomers;
        this.files = message.files ?? false;
        return 'room';
      case 'lobby':
        this.waiting = message.waiting;
        return 'people';
      case 'bans':
        this.bans = message.bans;
        return 'people';
      case 'roomState':
        this.state = message.state;
        return 'room';
      default:
        return null;
    }
  }

  /**
   * Whether a person cannot be heard: the microphone is off, or a moderator has muted the person.
   * @param {string} id
   */
  isMuted(id) {
    const person = this.participants.get(id);
    return person?.microphone === false || (person?.sound ?? 'audible') !== 'audible';
  }

  /**
   * What a stream brings, by what its presenter has told. Programs that do not tell it bring both.
   * @param {StreamInfo} stream
   * @returns {{ picture: boolean, sound: boolean }}
   */
  broughtBy({ source, participant }) {
    if (source !== 'camera') return { picture: true, sound: true };
    return { picture: this.participants.get(participant)?.camera !== false, sound: !this.isMuted(participant) };
  }

  /**
   * @param {string} id
   * @returns {string} empty: the person is not there, or not any more
   */
  nameOf(id) {
    return this.participants.get(id)?.name ?? '';
  }
}

/**
 * What tells a line from the others. A private line has no number of its own.
 * @param {ChatLine} line
 * @returns {string}
 */
export function keyOf({ seq, to, participant, at, text }) {
  return to === undefined ? String(seq) : `${seq} ${participant} ${at} ${text}`;
}

/**
 * The lines of both lists in order, each once. If there are too many, the newest are kept.
 * @param {ChatLine[]} known
 * @param {ChatLine[]} more
 * @returns {ChatLine[]}
 */
export function mergeChat(known, more) {
  const last = known.at(-1)?.seq ?? -1;
  const lines = more.every((line, at) => line.seq > (more[at - 1]?.seq ?? last))
    ? [...known, ...more]
    : [...new Map([...known, ...more].map((line) => [keyOf(line), line])).values()].sort(
        (a, b) => a.seq - b.seq || Number(a.to !== undefined) - Number(b.to !== undefined),
      );
  return lines.slice(-MAX_LINES);
}
