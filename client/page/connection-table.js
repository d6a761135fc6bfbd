// What the page's head says of the connection: by the state of the link, then by that of being in the room.

/** @typedef {import('../wire/connection.js').ConnectionState['phase']} Phase */
/** @typedef {import('../room/room.js').RoomStatus} RoomStatus */
/** @typedef {{ state: string, words: string }} Shown `state`: by which the style knows it */

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
const CONNECTED = { state: 'connected', words: 'Connected' };

const connecting = { else: CONNECTING, interrupted: RECONNECTING, refused: CLOSED };

/** @type {Record<Phase, Partial<Record<RoomStatus, Shown>> & { else: Shown }>} */
export const CONNECTION = {
  closed: { else: CLOSED },
  connecting,
  resuming: connecting,
  waiting: { else: LOST, refused: CLOSED },
  open: { else: ENTERING, inside: CONNECTED, switching: CONNECTED, refused: CLOSED },
};
