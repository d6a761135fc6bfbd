// What the page says of the connection, by the state of the link and then by the state of the page in the room: in its
// head, and in the panel about the situation, as long as the user is not in the room.

/** @import {Plain} from './say.js' */

/** @typedef {import('../wire/connection.js').ConnectionState['phase']} Phase */
/** @typedef {import('../room/room.js').RoomStatus} RoomStatus */
/** @typedef {'connecting' | 'lost' | 'entering' | 'knocking' | 'out'} Situation */
/** @typedef {{ state: string, words: Plain, situation?: Situation }} Shown `state`: the name for the style sheet; `words`: the key of the text */

/** @type {Shown} */
const CLOSED = { state: 'closed', words: 'connection.closed', situation: 'out' };
/** @type {Shown} */
const LOST = { state: 'reconnecting', words: 'connection.lost', situation: 'lost' };
/** @type {Shown} */
const NOT_YET = { state: 'reconnecting', words: 'connection.notYet', situation: 'connecting' };
/** @type {Shown} */
const CONNECTING = { state: 'connecting', words: 'connection.connecting', situation: 'connecting' };
/** @type {Shown} */
const RECONNECTING = { state: 'reconnecting', words: 'connection.connecting', situation: 'lost' };
/** @type {Shown} */
const RESTARTING = { state: 'connecting', words: 'connection.restarting' };
/** @type {Shown} */
const ENTERING = { state: 'entering', words: 'connection.entering', situation: 'entering' };
/** @type {Shown} */
const KNOCKING = { state: 'entering', words: 'connection.knocking', situation: 'knocking' };
/** @type {Shown} */
const CONNECTED = { state: 'connected', words: 'connection.connected' };

const connecting = { else: CONNECTING, restarting: RESTARTING, interrupted: RECONNECTING, refused: CLOSED };

/** @type {Record<Phase, Partial<Record<RoomStatus, Shown>> & { else: Shown }>} */
export const CONNECTION = {
  closed: { else: CLOSED },
  connecting,
  resuming: connecting,
  waiting: { else: NOT_YET, restarting: RESTARTING, interrupted: LOST, refused: CLOSED },
  open: { else: ENTERING, knocking: KNOCKING, inside: CONNECTED, switching: CONNECTED, restarting: RESTARTING, refused: CLOSED },
};
