// A client's connection for roomfsm.v1: requests, replies, heartbeat, reconnecting and resuming. It does not know
// the page. The table in link-table.js says what is legal in which state, and what follows a loss.

import { backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { LINK } from './link-table.js';
import { Machine } from './machine.js';

/**
 * @import {StateOf} from './machine.js'
 * @import {ClientMessage, ErrorCode, ErrorMessage, IceServer, Joined, Replies, ServerMessage, Welcome} from './messages.d.ts'
 */

export const SUBPROTOCOL = 'roomfsm.v1';

/** The server refused a request, or the request failed. */
export class ProtocolError extends Error {
  /** @param {ErrorMessage} message */
  constructor(message) {
    super(message.detail);
    this.name = 'ProtocolError';
    /** @type {ErrorCode} */
    this.code = message.code;
    this.answer = message;
  }
}

/** There is no connection, or it was lost before the reply came. Then it is not known whether the server got the request. */
export class ConnectionLost extends Error {
  constructor() {
    super('The connection to the server is lost.');
    this.name = 'ConnectionLost';
  }
}

/** Close codes after which the page must not reconnect, because it would be refused or would push out somebody else. */
const FINAL_CLOSE_CODES = new Set([1008, 4001]);
/** The code for a server that does not answer. Browsers use it for a broken connection (RFC 6455 section 7.1.5). */
const SILENT = 1006;
/** Tells the server that we leave. It gives the seat to others at once. */
const GOODBYE = 1000;
/** Tells a server that was only slow that we come back (`heartbeat_timeout` in docs/protocol.md). */
const UNHEARD = 4002;

/** `phase`: the state of the link. @typedef {{ phase: StateOf<typeof LINK> }} ConnectionState */

/**
 * The data of a trigger of the link's table: the close code of a loss.
 * @typedef {{ code?: number }} LinkFacts
 */

/**
 * `ready`: requests may be made. `joined` is the resumed room, or null for a new session, which is in no room.
 * `lost`: pending requests have failed, and new ones will fail until `ready`.
 * @typedef {{
 *   state: ConnectionState,
 *   ready: { joined: Joined | null },
 *   lost: { code: number, final: boolean },
 *   message: ServerMessage,
 *   unasked: ErrorMessage,
 * }} ConnectionEvents
 */

/**
 * Milliseconds.
 * @typedef {{ pingEvery: number, pongWithin: number, welcomeWithin: number, lifeWithin: number, stableAfter: number }} Timing
 */

/** @type {Timing} */
const TIMING = { pingEvery: 20_000, pongWithin: 10_000, welcomeWithin: 10_000, lifeWithin: 2_000, stableAfter: 5_000 };

/**
 * @typedef {{
 *   resolve: (message: any) => void,
 *   reject: (error: ProtocolError | ConnectionLost) => void,
 * }} Pending
 */

/** @extends {Emitter<ConnectionEvents>} */
export class Connection extends Emitter {
  /** The newest `welcome`. @type {Welcome | null} */
  welcome = null;
  /** The servers for a new RTCPeerConnection. TURN servers and new credentials come with later messages. @type {IceServer[]} */
  iceServers = [];
  /** In how many layers the room's media server takes a picture. */
  layers = 1;
  /** Whether a media server of this server has refused to restart a peer connection, as Kurento does. */
  refusesRestarts = false;

  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {string | null} the token of a session that is in a room and can be resumed */
  #token = null;
  /** @type {Map<import('./messages.d.ts').Ref, Pending>} */
  #pending = new Map();
  /** The room that was resumed. @type {Joined | null} */
  #resumed = null;
  /** When the server said anything last, in milliseconds of `performance.now()`. */
  heardAt = 0;
  #lastRef = 0;
  #lostTries = 0;
  #readySince = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** The time until the connection counts as lost if the server gives no sign of life. @type {ReturnType<typeof setTimeout> | undefined} */
  #doubt;

  /**
   * @param {string} url
   * @param {{WebSocket?: typeof WebSocket, timing?: Partial<Timing>}} [options]
   */
  constructor(url, { WebSocket: Socket = globalThis.WebSocket, timing = {} } = {}) {
    super();
    this.url = url;
    this.#Socket = Socket;
    this.#timing = { ...TIMING, ...timing };
  }
  #Socket;
  #timing;

  /** @type {Machine<typeof LINK, LinkFacts>} */
  #link = new Machine(LINK, {
    guards: {
      'was in a room': () => this.#token !== null,
      'for good': ({ code }) => code !== undefined && FINAL_CLOSE_CODES.has(code),
      'was stable': () => Date.now() - this.#readySince >= this.#timing.stableAfter,
    },
    effects: {
      connect: () => this.#connect(),
      'ask to resume': () => void this.#resume(),
      begin: () => this.#begin(),
      'ask for life': () => this.#askForLife(),
      'expect life soon': () => this.#expectLife(),
      'forget the room': () => this.forgetRoom(),
      'forget the failures': () => {
        this.#lostTries = 0;
      },
      'let go': ({ code }) => this.#letGo(code === undefined ? GOODBYE : UNHEARD),
      wait: () => this.#wait(),
      'tell the loss': ({ code = 1006 }) => this.emit('lost', { code, final: FINAL_CLOSE_CODES.has(code) }),
    },
    fired: () => this.emit('state', this.state),
  });

  /** @returns {ConnectionState} */
  get state() {
    return { phase: this.#link.state };
  }

  /** Whether requests may be made now. */
  get ready() {
    return this.#link.can('request');
  }

  /** Whether the next attempt may be made at once. */
  get mayRetry() {
    return this.#link.can('retry');
  }

  /** Connect, and stay connected until `close`. It does nothing if that has been asked for already. */
  open() {
    this.#link.fire('open', {});
  }

  /** If the connection waits for the next attempt, try now. */
  retryNow() {
    this.#link.fire('retry', {});
  }

  /**
   * The network may have changed, which a websocket does not notice for minutes. Find out whether the server can still
   * be reached, and connect anew if it cannot.
   */
  doubt() {
    this.#link.fire('doubt', {});
  }

  /** The browser is online again: try now, or find out whether the connection has survived. */
  online() {
    if (this.mayRetry) this.retryNow();
    else this.doubt();
  }

  /** End the connection, and do not keep the session. */
  close() {
    this.#link.fire('end', {});
  }

  /** Forget the session's token, because the session is in no room any more and need not be resumed. */
  forgetRoom() {
    this.#token = null;
  }

  /**
   * Send a message and wait for its reply.
   * @template {keyof Replies} T
   * @param {Extract<ClientMessage, {type: T}>} message without `ref`
   * @returns {Promise<Replies[T]>} rejects with `ProtocolError` or `ConnectionLost`
   */
  request(message) {
    if (!this.ready) return Promise.reject(new ConnectionLost());
    return this.#request(message);
  }

  /**
   * Send a message that has no reply. It is lost if it cannot be sent.
   * @param {Extract<ClientMessage, {type: 'candidate' | 'leave' | 'speaking' | 'react'}>} message
   */
  send(message) {
    // While the server closes the connection, the page is not told yet, and the browser would log an error.
    if (this.ready && this.#socket?.readyState === this.#Socket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /**
   * @param {ClientMessage} message
   * @returns {Promise<any>}
   */
  #request(message) {
    const socket = this.#socket;
    if (!socket || socket.readyState !== this.#Socket.OPEN) return Promise.reject(new ConnectionLost());
    const ref = ++this.#lastRef;
    return new Promise((resolve, reject) => {
      this.#pending.set(ref, { resolve, reject });
      socket.send(JSON.stringify({ ...message, ref }));
    });
  }

  #connect() {
    clearTimeout(this.#timer);
    const socket = new this.#Socket(this.url, SUBPROTOCOL);
    this.#socket = socket;
    // The listeners check whether the socket is still the present one, because events of an abandoned socket may
    // still come.
    socket.addEventListener('message', (event) => {
      if (socket === this.#socket) this.#received(String(event.data));
    });
    socket.addEventListener('close', (event) => {
      if (socket === this.#socket) this.#lost(event.code);
    });
    this.#timer = setTimeout(() => this.#lost(SILENT), this.#timing.welcomeWithin);
  }

  /** @param {string} text */
  #received(text) {
    // Whatever the server says, it lives.
    this.heardAt = performance.now();
    this.#believe();
    /** @type {ServerMessage} */
    let message;
    try {
      message = JSON.parse(text);
    } catch (error) {
      console.error('the server sent what is not JSON', text, error);
      return;
    }
    if (typeof message !== 'object' || message === null) {
      console.error('the server sent what is no message', text);
      return;
    }
    if (message.type === 'welcome') {
      clearTimeout(this.#timer);
      this.welcome = message;
      // It may be another server.
      this.refusesRestarts = false;
      // Until `joined`, the earlier servers are better, because these lack the TURN servers.
      if (this.#token === null) this.iceServers = message.iceServers;
      this.#resumed = null;
      this.#link.fire('greeted', {});
      return;
    }
    // A resumed session has the token of the newest connection, and the token before is valid for one more time.
    if (message.type === 'joined') this.#token = this.welcome?.resumeToken ?? null;
    if ('iceServers' in message) this.iceServers = message.iceServers ?? [];
    if (message.type === 'joined') this.layers = message.layers ?? 1;
    const pending =
      'ref' in message && message.ref !== undefined ? this.#pending.get(message.ref) : undefined;
    if (pending && 'ref' in message && message.ref !== undefined) this.#pending.delete(message.ref);
    if (message.type === 'error') {
      if (pending) pending.reject(new ProtocolError(message));
      else this.emit('unasked', message);
      return;
    }
    // Events are emitted first, so that code that awaits the reply finds the state that the reply describes.
    this.emit('message', message);
    pending?.resolve(message);
  }

  async #resume() {
    const socket = this.#socket;
    try {
      this.#resumed = await this.#request({ type: 'resume', token: this.#token ?? '' });
    } catch (error) {
      // If the connection was lost again, that has been handled already.
      if (error instanceof ProtocolError && socket === this.#socket) this.#link.fire('not resumed', {});
      return;
    }
    if (socket === this.#socket) this.#link.fire('resumed', {});
  }

  #begin() {
    this.#readySince = Date.now();
    this.#beat();
    this.emit('ready', { joined: this.#resumed });
  }

  /** The page sends pings of its own, because it cannot see the websocket's pings and would not notice a dead connection for minutes. */
  #beat() {
    const socket = this.#socket;
    this.#timer = setTimeout(() => {
      const overdue = setTimeout(() => {
        if (socket === this.#socket) this.#lost(SILENT);
      }, this.#timing.pongWithin);
      this.#request({ type: 'ping' }).then(
        () => {
          clearTimeout(overdue);
          if (socket === this.#socket) this.#beat();
        },
        () => clearTimeout(overdue),
      );
    }, this.#timing.pingEvery);
  }

  #askForLife() {
    if (this.#doubt !== undefined) return;
    this.#expectLife();
    this.#request({ type: 'ping' }).catch((error) => console.debug('no sign of life', error));
  }

  #expectLife() {
    this.#doubt ??= setTimeout(() => {
      this.#doubt = undefined;
      this.#lost(SILENT);
    }, this.#timing.lifeWithin);
  }

  #believe() {
    clearTimeout(this.#doubt);
    this.#doubt = undefined;
  }

  /** @param {number} code */
  #lost(code) {
    this.#link.fire('lost', { code });
  }

  #wait() {
    this.#lostTries += 1;
    this.#timer = setTimeout(() => this.#link.fire('due', {}), backoff(this.#lostTries));
  }

  /** @param {number} code */
  #letGo(code) {
    clearTimeout(this.#timer);
    this.#believe();
    this.#socket?.close(code);
    this.#socket = null;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(new ConnectionLost());
  }
}
