// What is known of the room, changed by the server's messages and by nothing else. No I/O.

/** @import {ChatLine, Joined, ParticipantInfo, ServerMessage, StreamInfo} from '../wire/messages.d.ts' */

const MAX_LINES = 1000;

/** @typedef {'people' | 'streams' | 'chat' | 'room'} Part */

export class RoomState {
  /** @param {Joined} joined */
  constructor(joined) {
    this.name = joined.room;
    /** The same for all spellings of the name; the server alone knows how to make it. */
    this.key = joined.key;
    this.you = joined.you;
    this.state = joined.state;
    /** @type {Map<string, ParticipantInfo>} */
    this.participants = new Map(joined.participants.map((participant) => [participant.id, participant]));
    /** @type {Map<string, StreamInfo>} */
    this.streams = new Map(joined.streams.map((stream) => [stream.id, stream]));
    this.chat = mergeChat([], joined.chat);
  }

  /**
   * The snapshot that a resumed session gets, keeping the chat lines that are older than its history.
   * @param {Joined} joined
   * @returns {RoomState}
   */
  resumed(joined) {
    const next = new RoomState(joined);
    if (joined.key === this.key) next.chat = mergeChat(this.chat, joined.chat);
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
        return 'people';
      case 'streamStarted':
        this.streams.set(message.stream.id, message.stream);
        return 'streams';
      case 'streamChanged':
        // The end of one's view may be told after the end of its stream, which must not bring that back.
        if (!this.streams.has(message.stream.id)) return null;
        this.streams.set(message.stream.id, message.stream);
        return 'streams';
      case 'streamEnded':
        this.streams.delete(message.stream);
        return 'streams';
      case 'chat':
        this.chat = mergeChat(this.chat, [message.line]);
        return 'chat';
      case 'roomState':
        this.state = message.state;
        return 'room';
      default:
        return null;
    }
  }

  /** @param {string} id */
  nameOf(id) {
    return this.participants.get(id)?.name ?? 'Somebody';
  }
}

/**
 * Lines of both, each `seq` once, in order; of too many the newest.
 * @param {ChatLine[]} known
 * @param {ChatLine[]} more
 * @returns {ChatLine[]}
 */
export function mergeChat(known, more) {
  const last = known.at(-1)?.seq ?? -1;
  const lines = more.every((line, at) => line.seq > (more[at - 1]?.seq ?? last))
    ? [...known, ...more]
    : [...new Map([...known, ...more].map((line) => [line.seq, line])).values()].sort(
        (a, b) => a.seq - b.seq,
      );
  return lines.slice(-MAX_LINES);
}
