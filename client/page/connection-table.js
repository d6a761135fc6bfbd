// The text about the connection in the page's head, by the state of the link and then by the state of the page in
// the room.

/** @typedef {import('../wire/connection.js').ConnectionState['phase']} Phase */
/** @typedef {import('../room/room.js').RoomStatus} RoomStatus */
/** @typedef {{ state: string, words: string }} Shown `state`: the name for the style sheet */

/** @type {Shown} */
const CLOSED = { state: 'closed', words: 'Not connected' };
/** @type {Shown} */
const LOST = { state: 'reconnecting', words: 'Connection lost. Trying again…' };
/** @type {Shown} */
const CONNECTING = { state: 'connecting', words: 'Connecting…' };
/** @type {Shown} */
const RECONNECTING = { state: 'reconnecting', words: 'Connecting…' };
/** @type {Shown} */
const ENTERING = { state: 'entering', words: 'Entering the room…' };
/** @type {Shown} */
const KNOCKING = { state: 'entering', words: 'Waiting to be let in…' };
/** @type {Shown} */
const CONNECTED = { state: 'connected', words: 'Connected' };

const connecting = { else: CONNECTING, interrupted: RECONNECTING, refused: CLOSED };

/** @type {Record<Phase, Partial<Record<RoomStatus, Shown>> & { else: Shown }>} */
export const CONNECTION = {
  closed: { else: CLOSED },
  connecting,
  resuming: connecting,
  waiting: { else: LOST, refused: CLOSED },
  open: { else: ENTERING, knocking: KNOCKING, inside: CONNECTED, switching: CONNECTED, refused: CLOSED },
};
