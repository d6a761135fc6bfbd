// A stream's way to or from the media server: made anew with back-off when it fails, until it is stopped.
// What is legal when, and when a failure ends it, is the table's to say: media-table.js.

import { backoff } from '../wire/backoff.js';
import { ConnectionLost, ProtocolError } from '../wire/connection.js';
import { Emitter } from '../wire/emitter.js';
import { Machine } from '../wire/machine.js';
import { MEDIA } from './media-table.js';
import { Peer } from './peer.js';

/** @import {Answer, CandidateFound} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */
/** @import {StateOf} from '../wire/machine.js' */

/** Why a link failed where no error message says so; `code` is the server's word for it, or ours. */
export class LinkFailure extends Error {
  /** @param {string} code */
  constructor(code) {
    super(code);
    this.name = 'LinkFailure';
    this.code = code;
  }
}

/** Milliseconds from the offer to a connected peer, after which we try again. */
const CONNECT_WITHIN = 20_000;
/** Milliseconds connected, after which earlier failures are forgotten. */
const STABLE_AFTER = 10_000;

/** What passes by itself, however long it takes: a link that fails for it is never given up. */
const PASSING = new Set(['media_unavailable', 'media_lost']);

/** @typedef {StateOf<typeof MEDIA>} LinkState */

/**
 * What a trigger of the table comes with: why it failed; whether the server still has its end.
 * @typedef {{ error?: Error, atServer?: boolean }} MediaFacts
 */

/**
 * @typedef {{
 *   change: void,
 *   failed: { error: Error, tries: number, givenUp: boolean },
 * }} LinkEvents
 */

/**
 * What differs between publishing and viewing is in the four methods at the end.
 * @extends {Emitter<LinkEvents>}
 */
export class MediaLink extends Emitter {
  /** @type {Peer | null} */
  peer = null;

  /** Whether the server has (or may have) an endpoint of ours for this stream. */
  #atServer = false;
  /** @type {Promise<void> | null} the newest unpublish or unview, until it is replied to */
  #undoing = null;
  /** Failures in a row, after which the waits between tries are. */
  #tries = 0;
  /** Those among them that may never pass. */
  #refusals = 0;
  #connectedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #maxTries;

  /**
   * @param {Connection} connection
   * @param {number} maxTries failures in a row after which the link is given up; those that pass do not count
   */
  constructor(connection, maxTries) {
    super();
    this.connection = connection;
    this.#maxTries = maxTries;
  }

  /** @type {Machine<typeof MEDIA, MediaFacts>} */
  #machine = new Machine(MEDIA, {
    guards: {
      offline: ({ error }) => error instanceof ConnectionLost || !this.connection.ready,
      hopeless: ({ error }) => this.#refusals + (passes(error) ? 0 : 1) > this.#maxTries,
      works: ({ atServer = false }) => atServer && this.peer?.pc.connectionState === 'connected',
    },
    effects: {
      'forget the failures': () => this.#forgetFailures(),
      try: () => void this.#attempt(),
      part: () => this.#end(),
      'part for good': () => {
        this.#atServer = false;
        this.#end();
      },
      'look at the server': ({ atServer = false }) => {
        this.#atServer = atServer;
      },
      'note the time': () => {
        clearTimeout(this.#timer);
        this.#connectedAt = Date.now();
      },
      count: ({ error }) => {
        this.#tries += 1;
        if (!passes(error)) this.#refusals += 1;
      },
      wait: () => {
        this.#timer = setTimeout(() => this.#machine.fire('due', {}), backoff(this.#tries));
      },
      'tell the failure': ({ error = new LinkFailure('failed') }) =>
        this.emit('failed', { error, tries: this.#tries, givenUp: !this.#machine.can('due') }),
    },
    fired: () => this.emit('change', undefined),
  });

  /** @returns {LinkState} */
  get state() {
    return this.#machine.state;
  }

  /** Whether it is hidden, or not begun: `show` begins it. */
  get idle() {
    return this.#machine.can('show');
  }

  /** Whether there is a way for the media. */
  get works() {
    return this.#machine.can('media');
  }

  /** Begin, or begin anew. */
  start() {
    this.#machine.fire('start', {});
  }

  /** Begin it unless it is begun. */
  show() {
    this.#machine.fire('show', {});
  }

  /** End it here and at the server. */
  async stop() {
    this.#machine.fire('stop', {});
    await this.#undoing;
  }

  /** The server has already ended it, and it is not wanted any more. */
  drop() {
    this.#machine.fire('over', {});
  }

  /**
   * The server ended it, though it is wanted.
   * @param {string} reason
   */
  endedByServer(reason) {
    // While an undo is under way, what ended is what we ended.
    if (!this.peer || this.#undoing) return;
    this.#atServer = false;
    this.#fail(new LinkFailure(reason));
  }

  /** The room is gone for a while: the server has ended it, and `startAnew` will come. */
  suspend() {
    this.#machine.fire('suspend', {});
  }

  /** The session is a new one: whatever the server had of ours is gone. */
  startAnew() {
    this.#machine.fire('begin anew', {});
  }

  /**
   * The session was resumed: a link that works goes on, any other is made anew.
   * @param {boolean} atServer whether the server (perhaps) still has its end
   */
  resume(atServer) {
    this.#machine.fire('back', { atServer });
  }

  /** @param {CandidateFound} message */
  candidateFound(message) {
    this.peer?.candidateFound(message);
  }

  async #attempt() {
    const peer = this.#newPeer();
    if (!peer) return;
    this.peer = peer;
    // A peer that is not the newest any more has nothing to say: its replies and failures are dropped.
    const outdated = () => peer !== this.peer;
    peer.pc.addEventListener('connectionstatechange', () => {
      if (!outdated()) this.#pathTold[peer.pc.connectionState]?.();
    });
    try {
      this.prepare(peer.pc);
      await this.#undoing;
      const sdp = await peer.offer();
      if (outdated()) return;
      this.#timer = setTimeout(() => this.#fail(new LinkFailure('no_media_path')), CONNECT_WITHIN);
      const replied = this.ask(sdp);
      this.#atServer = true;
      peer.trickle();
      const answer = await replied;
      if (outdated()) return;
      await peer.accept(answer.sdp);
      if (!outdated()) this.#machine.fire('answered', {});
    } catch (error) {
      if (outdated()) return;
      if (error instanceof ProtocolError) this.#atServer = error.code.startsWith('already_');
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** @returns {Peer | null} null: the browser makes none of the server's settings, and will not at another try */
  #newPeer() {
    try {
      return new Peer(this.connection.iceServers, (candidate) => this.#sendCandidate(candidate));
    } catch (error) {
      if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
      console.warn('the browser does not take the ICE servers', error);
      this.#machine.fire('impossible', { error: new LinkFailure('ice_servers') });
      return null;
    }
  }

  /**
   * What the peer connection's state (W3C WebRTC section 4.4.3) means to the table.
   * @type {Partial<Record<RTCPeerConnectionState, () => void>>}
   */
  #pathTold = {
    connected: () => this.#machine.fire('path found', {}),
    disconnected: () => this.#machine.fire('path disturbed', {}),
    failed: () => this.#fail(new LinkFailure('no_media_path')),
  };

  /** @param {Error} error */
  #fail(error) {
    if (this.#connectedAt && Date.now() - this.#connectedAt >= STABLE_AFTER) this.#forgetFailures();
    this.#machine.fire('failed', { error });
  }

  #forgetFailures() {
    this.#tries = 0;
    this.#refusals = 0;
  }

  /** Part with the peer, and with the server's end where there is one. */
  #end() {
    clearTimeout(this.#timer);
    this.#connectedAt = 0;
    const peer = this.peer;
    this.peer = null;
    peer?.silence();
    if (!this.#atServer) {
      peer?.close();
      return;
    }
    this.#atServer = false;
    const undoing = this.undo()
      // It is over already, or the connection is: either way there is nothing left to undo.
      .catch((error) => console.debug('nothing to undo', error))
      .then(() => {
        // Not before: the server would take the closed connection for a failure.
        peer?.close();
        if (this.#undoing === undoing) this.#undoing = null;
      });
    this.#undoing = undoing;
  }

  /** @param {RTCIceCandidate} found */
  #sendCandidate({ candidate, sdpMid, sdpMLineIndex, usernameFragment }) {
    this.connection.send({
      type: 'candidate',
      stream: this.streamId(),
      candidate,
      ...(sdpMid === null ? {} : { sdpMid }),
      ...(sdpMLineIndex === null ? {} : { sdpMLineIndex }),
      ...(usernameFragment === null ? {} : { usernameFragment }),
    });
  }

  /** @returns {string} */
  streamId() {
    throw new Error('abstract');
  }

  /**
   * Add the transceivers.
   * @param {RTCPeerConnection} _pc
   */
  prepare(_pc) {
    throw new Error('abstract');
  }

  /**
   * Send the offer.
   * @param {string} _sdp
   * @returns {Promise<Answer>}
   */
  ask(_sdp) {
    throw new Error('abstract');
  }

  /**
   * Ask the server to release its end.
   * @returns {Promise<unknown>}
   */
  undo() {
    throw new Error('abstract');
  }
}

/** @param {Error | undefined} error */
function passes(error) {
  return (error instanceof ProtocolError || error instanceof LinkFailure) && PASSING.has(error.code);
}
