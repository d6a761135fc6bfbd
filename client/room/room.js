// Being in a room: enters it, comes back to it, keeps its state, hands media messages to whom they concern.

import { backoff } from '../wire/backoff.js';
import { ConnectionLost, ProtocolError } from '../wire/connection.js';
import { Emitter } from '../wire/emitter.js';
import { Presenting } from '../media/presenting.js';
import { Watching } from '../media/watching.js';
import { RoomState } from './state.js';

/** @import {Closing, ErrorCode, Joined, ServerMessage, Source} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */
/** @import {News, PresentingNews} from '../media/presenting.js' */
/** @import {Part} from './state.js' */

/**
 * `entering`: asked for, or waiting to ask again. `interrupted`: was inside, the connection is lost.
 * `refused`: not to be tried again by itself.
 * @typedef {'outside' | 'entering' | 'inside' | 'interrupted' | 'refused'} RoomStatus
 */

/**
 * `refused`: what the server refused without having been asked by a request. `viewFailed`: a stream of somebody
 * cannot be received. `enteredNameless`: the room was entered without the user's name, which the server does not take.
 * `notEntered`: a room could not be entered; `again`: it is tried again. `notSwitched`: one stays where one was.
 * `connectionEnded`: for good, by this close code.
 * @typedef {(
 *   PresentingNews |
 *   { what: 'refused', error: ProtocolError } |
 *   { what: 'viewFailed', name: string, source: Source, error: Error, givenUp: boolean } |
 *   { what: 'enteredNameless', fault: string } |
 *   { what: 'notEntered', room: string, error: unknown, again: boolean } |
 *   { what: 'notSwitched', room: string, error: unknown } |
 *   { what: 'serverCloses' } |
 *   { what: 'roomCloses', reason: string | undefined } |
 *   { what: 'connectionEnded', code: number }
 * )} RoomNews
 */

/**
 * `change`: `media` is what is presented or watched by oneself. `solved`: what the news of this topic told is over.
 * `misnamed`: the name can be no room's, so one is in none.
 * `moved`: to another room or to none, so that no news of the one before hold any more.
 * @typedef {{
 *   change: Part | 'status' | 'media',
 *   news: News<RoomNews>,
 *   solved: string,
 *   moved: void,
 *   entered: RoomState,
 *   misnamed: { name: string, fault: string },
 * }} RoomEvents
 */

/** Refusals of a `join` that a later try meets again. @type {Set<ErrorCode>} */
const HOPELESS = new Set(['malformed', 'unknown_message']);

/** @extends {Emitter<RoomEvents>} */
export class Room extends Emitter {
  /** @type {RoomStatus} */
  status = 'outside';
  /** As last known; while not inside it may be outdated. @type {RoomState | null} */
  state = null;

  /** The room in which the user wants to be. @type {string | null} */
  #wanted = null;
  #displayName = '';
  #serverCloses = false;
  /** A join or switch is under way. */
  #moving = false;
  #joinTries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Connection} connection */
  constructor(connection) {
    super();
    this.connection = connection;
    this.presenting = new Presenting(connection, () => this.state?.you ?? '');
    this.watching = new Watching(connection);
    this.presenting.on('change', () => this.emit('change', 'media'));
    this.presenting.on('news', (news) => this.emit('news', news));
    this.presenting.on('solved', (topic) => this.emit('solved', topic));
    this.watching.on('change', () => this.emit('change', 'media'));
    this.watching.on('failed', (failure) => this.#viewFailed(failure));
    this.watching.on('solved', (stream) => this.emit('solved', `view:${stream}`));
    connection.on('ready', ({ joined }) => (joined ? this.#resumed(joined) : this.#freshSession()));
    connection.on('lost', ({ code, final }) => this.#lost(code, final));
    connection.on('message', (message) => this.#received(message));
    connection.on('unasked', (error) => {
      // A candidate that comes too late speaks of a stream or view that is over: nobody misses it.
      if (error.message === 'candidate') console.debug('candidate refused', error);
      else this.#tell({ what: 'refused', error: new ProtocolError(error) }, `refusal:${error.code}`);
    });
  }

  /** The streams that one may view. */
  othersStreams() {
    const { state } = this;
    return state ? [...state.streams.values()].filter((stream) => stream.participant !== state.you) : [];
  }

  /**
   * Be in this room: join it, or go there from the room where one is.
   * @param {string} name
   * @param {string} displayName empty: the server's default
   */
  enter(name, displayName) {
    this.#displayName = displayName;
    this.#wanted = name;
    this.#joinTries = 0;
    if (this.status === 'inside') {
      void this.#goOn();
      return;
    }
    if (this.status !== 'interrupted') this.#setStatus('entering');
    if (this.connection.ready) void this.#join();
    else this.connection.open();
  }

  /** To no room at all. */
  leave() {
    this.#wanted = null;
    clearTimeout(this.#timer);
    this.presenting.leave();
    this.watching.leave();
    this.connection.send({ type: 'leave' });
    this.connection.close();
    this.state = null;
    this.#setStatus('outside');
    this.emit('moved', undefined);
  }

  /**
   * @param {string} name
   * @returns {Promise<void>} rejects with `ProtocolError` or `ConnectionLost`
   */
  async rename(name) {
    await this.connection.request({ type: 'rename', name });
    this.#displayName = name;
  }

  /**
   * @param {string} text
   * @returns {Promise<void>} rejects with `ProtocolError` or `ConnectionLost`
   */
  async say(text) {
    await this.connection.request({ type: 'chat', text });
  }

  /** All peer connections by stream id. */
  peerConnections() {
    /** @type {Map<string, RTCPeerConnection>} */
    const found = new Map();
    for (const link of [...this.presenting.publications.values(), ...this.watching.views.values()]) {
      if (link.peer) found.set(link.streamId(), link.peer.pc);
    }
    return found;
  }

  #freshSession() {
    if (this.#wanted !== null) void this.#join();
  }

  async #join() {
    clearTimeout(this.#timer);
    const room = this.#wanted;
    // The reply to what is under way decides how to go on to what is wanted by then.
    if (room === null || this.#moving) return;
    this.#moving = true;
    try {
      await this.connection.request({
        type: 'join',
        room,
        ...(this.#displayName ? { name: this.#displayName } : {}),
      });
      this.#arrived(room);
    } catch (error) {
      this.#joinRefused(error, room);
    } finally {
      this.#moving = false;
    }
    void this.#goOn();
  }

  /**
   * @param {unknown} error
   * @param {string} room
   */
  #joinRefused(error, room) {
    if (error instanceof ConnectionLost || this.#wanted === null) return;
    const fault = error instanceof ProtocolError && error.code === 'malformed' ? error.answer : null;
    if (fault?.path === '$.room') {
      this.leave();
      this.emit('misnamed', { name: room, fault: fault.detail });
      return;
    }
    if (fault?.path === '$.name' && this.#displayName) {
      // A name that was kept since an earlier version of the server took it.
      this.#displayName = '';
      this.#tell({ what: 'enteredNameless', fault: fault.detail }, 'rename');
      this.#timer = setTimeout(() => void this.#join());
      return;
    }
    if (error instanceof ProtocolError && HOPELESS.has(error.code)) {
      this.#setStatus('refused');
      this.#tell({ what: 'notEntered', room, error, again: false }, 'presence', { lasting: true });
      return;
    }
    this.#joinTries += 1;
    this.#tell({ what: 'notEntered', room, error, again: true }, 'presence', { lasting: true });
    this.#timer = setTimeout(() => void this.#join(), backoff(this.#joinTries));
  }

  /**
   * @param {Joined} joined by join or switch
   */
  #entered(joined) {
    const back = this.state?.key === joined.key;
    this.watching.leave();
    if (!back) {
      this.presenting.leave();
      this.emit('moved', undefined);
    }
    this.state = new RoomState(joined);
    this.#inside();
    if (back) this.presenting.startAnew();
  }

  /** @param {Joined} joined */
  #resumed(joined) {
    if (this.state?.key !== joined.key) {
      this.#entered(joined);
      return;
    }
    this.state = this.state.resumed(joined);
    this.presenting.resume(this.state.streams);
    this.watching.resume();
    this.#inside();
  }

  #inside() {
    const { state } = this;
    if (!state) return;
    this.#joinTries = 0;
    this.#setStatus('inside');
    this.emit('solved', 'presence');
    this.emit('entered', state);
    this.watching.follow(this.othersStreams());
    void this.#goOn();
  }

  /** From the room where one is to the one that is wanted, if that is another. */
  async #goOn() {
    const { state } = this;
    const wanted = this.#wanted;
    if (this.status !== 'inside' || !state || wanted === null || this.#moving) return;
    if (state.name === wanted) return;
    this.#moving = true;
    try {
      await this.connection.request({ type: 'switch', room: wanted });
      this.#arrived(wanted);
    } catch (error) {
      this.#switchRefused(error, wanted);
    } finally {
      this.#moving = false;
    }
    void this.#goOn();
  }

  /**
   * The wish is fulfilled, in the room's own spelling of its name.
   * @param {string} room as it was asked for
   */
  #arrived(room) {
    if (this.#wanted === room && this.state) this.#wanted = this.state.name;
  }

  /**
   * @param {unknown} error
   * @param {string} room
   */
  #switchRefused(error, room) {
    // With the connection lost, the wish is kept: `ready` goes on from there.
    if (error instanceof ConnectionLost || this.#wanted !== room || !this.state) return;
    this.#wanted = this.state.name;
    // Another spelling of the room's name is no failure: the address is put right.
    if (!(error instanceof ProtocolError && error.code === 'already_in_room'))
      this.#tell({ what: 'notSwitched', room, error }, 'switch');
    this.emit('entered', this.state);
  }

  /** @param {ServerMessage} message */
  #received(message) {
    if (message.type === 'joined' && !message.resumed) this.#entered(message);
    if (message.type === 'closing') this.#closing(message);
    if (!this.state) return;
    const part = this.state.apply(message);
    switch (message.type) {
      case 'streamStarted':
        this.watching.follow(this.othersStreams());
        break;
      case 'streamChanged':
        this.watching.changed(message);
        break;
      case 'streamEnded':
        this.watching.follow(this.othersStreams());
        this.presenting.ended(message.stream, message.reason);
        break;
      case 'candidate':
        this.presenting.candidateFound(message);
        this.watching.candidateFound(message);
        break;
    }
    if (part) this.emit('change', part);
  }

  /** @param {Closing} closing */
  #closing({ scope, reason }) {
    if (scope === 'server') {
      this.#serverCloses = true;
      this.#tell({ what: 'serverCloses' }, 'presence', { kind: 'info', lasting: true });
      return;
    }
    this.connection.forgetRoom();
    this.presenting.suspend();
    this.watching.leave();
    this.#setStatus('entering');
    // The rooms of a server that closes are closed with it; `ready` of the next one goes on from there.
    if (this.#serverCloses) return;
    this.#tell({ what: 'roomCloses', reason }, 'presence', { kind: 'info', lasting: true });
    this.#joinTries = 1;
    this.#timer = setTimeout(() => void this.#join(), backoff(1));
  }

  /**
   * @param {number} code
   * @param {boolean} final
   */
  #lost(code, final) {
    clearTimeout(this.#timer);
    this.#serverCloses = false;
    if (this.#wanted === null) return;
    if (!final) {
      if (this.status === 'inside') this.#setStatus('interrupted');
      return;
    }
    this.presenting.leave();
    this.watching.leave();
    this.#setStatus('refused');
    this.#tell({ what: 'connectionEnded', code }, 'presence', { lasting: true });
  }

  /** @param {import('../media/watching.js').WatchingEvents['failed']} failure */
  #viewFailed({ stream: id, error, tries, givenUp }) {
    const stream = this.state?.streams.get(id);
    // The tile keeps saying that the page tries again, so one notice is enough.
    if (!stream || tries > 1) return;
    const name = this.state?.nameOf(stream.participant) ?? '';
    // Every view that is given up has the same cause, so one notice is enough.
    const topic = givenUp ? 'view' : `view:${id}`;
    this.#tell({ what: 'viewFailed', name, source: stream.source, error, givenUp }, topic, { lasting: true });
  }

  /**
   * @param {RoomNews} news
   * @param {string} topic
   * @param {{kind?: 'info' | 'error', lasting?: boolean}} [how]
   */
  #tell(news, topic, { kind = 'error', lasting = false } = {}) {
    this.emit('news', { ...news, kind, topic, lasting });
  }

  /** @param {RoomStatus} status */
  #setStatus(status) {
    this.status = status;
    this.emit('change', 'status');
  }
}
