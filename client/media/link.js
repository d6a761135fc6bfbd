// A stream's connection to or from the media server. If it fails, it is made again after growing delays, until it
// is stopped. The table in media-table.js says what is legal in which state, and when a failure ends it.

import { backoff } from '../wire/backoff.js';
import { ConnectionLost, ProtocolError } from '../wire/connection.js';
import { Emitter } from '../wire/emitter.js';
import { Machine } from '../wire/machine.js';
import { hasWebRTC } from './devices.js';
import { MEDIA } from './media-table.js';
import { bytesReceived } from './path-watch.js';
import { Peer } from './peer.js';

/** @import {Answer, CandidateFound} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */
/** @import {StateOf} from '../wire/machine.js' */

/** Why a link failed, if there was no error message. `code` is the server's code for the reason, or ours. */
export class LinkFailure extends Error {
  /** @param {string} code */
  constructor(code) {
    super(code);
    this.name = 'LinkFailure';
    this.code = code;
  }
}

/** If the peer is not connected so many milliseconds after the offer, we try again. */
const CONNECT_WITHIN = 20_000;
/** If the offer is not answered so many milliseconds after it was sent, the network may have changed. */
const ANSWERED_WITHIN = 3_000;
/** If ICE is restarted and the peer is not connected so many milliseconds later, it begins anew. */
const RESTARTED_WITHIN = 10_000;
/** If ICE cannot be restarted after a silence, and nothing comes for so many milliseconds more, it begins anew. */
const LISTENED_FOR = 5_000;
/** Milliseconds between two looks whether something comes over a restarted path. */
const HEAR_EVERY = 250;
/** After so many milliseconds with a connection, earlier failures are forgotten. */
const STABLE_AFTER = 10_000;

/** Reasons that pass by themselves. A link that fails for such a reason is never given up. */
const PASSING = new Set(['media_unavailable', 'media_lost']);

/** Refusals that only somebody else can end. A link that has never worked is given up at once for them. @type {ReadonlySet<string>} */
const CLOSED = new Set(['too_many_presenters', 'not_permitted']);

/** The server has no stream or view of ours (any more). @type {ReadonlySet<string>} */
const GONE = new Set(['no_such_stream', 'not_viewing', 'ended']);

/** @typedef {StateOf<typeof MEDIA>} LinkState */

/**
 * The data of a trigger of the table: why the link failed, whether the server still has its end of it, whether the
 * network has changed, so that the path is worth nothing, and whether only a silence speaks for that.
 * @typedef {{ error?: Error, atServer?: boolean, moved?: boolean, silent?: boolean }} MediaFacts
 */

/**
 * @typedef {{
 *   change: void,
 *   failed: { error: Error, tries: number, givenUp: boolean },
 * }} LinkEvents
 */

/**
 * The four methods at the end differ between publishing and viewing.
 * @extends {Emitter<LinkEvents>}
 */
export class MediaLink extends Emitter {
  /** @type {Peer | null} */
  peer = null;

  /**
   * A peer whose offer was made, or is being made, before it was needed. `sdp`: the offer, as soon as it is there.
   * @type {{ peer: Peer, servers: string, offer: Promise<string>, sdp?: string } | null}
   */
  #ready = null;
  /** Whether the server has (or may have) an endpoint of ours for this stream. */
  #atServer = false;
  /** @type {Promise<void> | null} the newest unpublish or unview, until its reply comes */
  #undoing = null;
  /** The number of failures in a row, which determines the next delay. */
  #tries = 0;
  /** The number of these failures that may never pass by themselves. */
  #refusals = 0;
  /** When its peer was connected last; null if it never was. @type {number | null} */
  #connectedAt = null;
  /** Whether it has ever been connected. After that, a refusal may be due to what is left of an earlier session. */
  #hasWorked = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #patience;
  /** Whether the newest restart waits for its answer, or for the server to be there to be asked. */
  #owed = false;
  /** Whether nothing but a silence was the reason for the newest restart. */
  #onSilence = false;
  /** The number of restarts. What comes of any but the newest is ignored. */
  #restarts = 0;
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
      hopeless: ({ error }) =>
        this.#refusals + (passes(error) ? 0 : 1) > this.#maxTries ||
        (!this.#hasWorked && error instanceof ProtocolError && CLOSED.has(error.code)),
      'may restart': ({ atServer = false }) => atServer && this.#connectedAt !== null,
      'offer is unanswered': () => this.#owed,
      'restarts are refused': () => this.connection.refusesRestarts,
      'only silent': () => this.#onSilence && this.peer?.pc.connectionState === 'connected',
      works: ({ atServer = false, moved = false }) =>
        atServer && !moved && this.peer?.pc.connectionState === 'connected',
    },
    effects: {
      'forget the failures': () => this.#forgetFailures(),
      'make ready': () => this.#makeReady(),
      'put away': () => this.#putAway(),
      try: () => void this.#attempt(),
      part: () => this.#end(),
      'part for good': () => {
        this.#atServer = false;
        this.#end();
      },
      'look at the server': ({ atServer = false }) => {
        this.#atServer = atServer;
      },
      restart: ({ silent = false }) => {
        this.#onSilence = silent;
        void this.#restart();
      },
      'roll back': () => void this.peer?.rollBack(),
      listen: () => {
        this.#timer = setTimeout(() => this.#machine.fire('restart failed', {}), LISTENED_FOR);
      },
      'doubt the connection': () => this.connection.doubt(),
      'note the time': () => {
        clearTimeout(this.#timer);
        this.#connectedAt = Date.now();
        this.#hasWorked = true;
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

  /** Whether it is hidden or has not begun. `show` begins it. */
  get idle() {
    return this.#machine.can('show');
  }

  /** Whether media can flow. */
  get works() {
    return this.#machine.can('pass media');
  }

  /** Make the peer connection and its offer already, because it will probably be started in a moment. */
  foresee() {
    this.#machine.fire('foreseen', {});
  }

  /** It will not be started after all. */
  forget() {
    this.#machine.fire('not needed', {});
  }

  /** Begin, or begin anew. */
  start() {
    this.#machine.fire('start', {});
  }

  /** Begin it if it has not begun. */
  show() {
    this.#machine.fire('show', {});
  }

  /** End it here and at the server. */
  async stop() {
    this.#machine.fire('stop', {});
    await this.#undoing;
  }

  /** End it here, because the server has already ended it and it is not wanted any more. */
  drop() {
    this.#machine.fire('over', {});
  }

  /**
   * Note that the server has ended it although it is wanted.
   * @param {string} reason
   */
  endedByServer(reason) {
    // While an undo is under way, this is the end that we asked for.
    if (!this.peer || this.#undoing) return;
    this.#atServer = false;
    this.#fail(new LinkFailure(reason));
  }

  /** Find a new path, because the network seems to have changed. */
  moved() {
    this.#machine.fire('path silent', { silent: true });
  }

  /** Pause, because the room is gone for a while. The server has ended the link, and `startAnew` will be called later. */
  suspend() {
    this.#machine.fire('suspend', {});
  }

  /** Start again in a new session. Everything that the server had of the old session is gone. */
  startAnew() {
    this.#machine.fire('begin anew', {});
  }

  /**
   * Continue in a resumed session. A link that works continues, and any other is made again.
   * @param {boolean} atServer whether the server (perhaps) still has its end
   * @param {boolean} [moved] whether the network has changed, as far as the page can tell
   */
  resume(atServer, moved = false) {
    this.#machine.fire('back', { atServer, moved });
  }

  /** @param {CandidateFound} message */
  candidateFound(message) {
    this.peer?.candidateFound(message);
  }

  #makeReady() {
    this.#putAway();
    const peer = this.#newPeer();
    if (!peer) return;
    this.prepare(peer.pc);
    const ready = { peer, servers: serversOf(this.connection), offer: peer.offer() };
    this.#ready = ready;
    ready.offer.then(
      (sdp) => Object.assign(ready, { sdp }),
      (error) => {
        console.debug('no offer beforehand', error);
        if (this.#ready === ready) this.#putAway();
      },
    );
  }

  #putAway() {
    this.#ready?.peer.close();
    this.#ready = null;
  }

  /** What was made ready, if it can still be used. */
  #takeReady() {
    const ready = this.#ready;
    if (!ready) return null;
    // Whoever has entered a room may use TURN servers that were not known before.
    if (ready.servers !== serversOf(this.connection)) {
      this.#putAway();
      return null;
    }
    this.#ready = null;
    return ready;
  }

  async #attempt() {
    const ready = this.#takeReady();
    const peer = ready?.peer ?? this.#newPeer();
    if (!peer) return;
    this.peer = peer;
    // Replies and failures of a peer that is not the newest one are ignored.
    const outdated = () => peer !== this.peer;
    peer.pc.addEventListener('connectionstatechange', () => {
      if (!outdated()) this.#pathTold[peer.pc.connectionState]?.();
    });
    try {
      if (!ready) this.prepare(peer.pc);
      if (this.#undoing) await this.#undoing;
      // What is ready is sent at once, before the page is busy with showing the room.
      const sdp = ready?.sdp ?? (await (ready?.offer ?? peer.offer()));
      if (outdated()) return;
      this.#timer = setTimeout(() => this.#fail(new LinkFailure('no_media_path')), CONNECT_WITHIN);
      this.#patience = setTimeout(() => this.#machine.fire('unanswered', {}), ANSWERED_WITHIN);
      const replied = this.ask(sdp);
      this.#atServer = true;
      peer.trickle();
      const answer = await replied;
      if (outdated()) return;
      clearTimeout(this.#patience);
      await peer.accept(answer.sdp);
      if (outdated()) return;
      this.answered(answer);
      this.#machine.fire('answered', {});
    } catch (error) {
      if (outdated()) return;
      if (error instanceof ProtocolError) this.#atServer = error.code.startsWith('already_');
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #restart() {
    const peer = this.peer;
    if (!peer) return;
    this.#restarts += 1;
    const turn = this.#restarts;
    const outdated = () => peer !== this.peer || turn !== this.#restarts;
    clearTimeout(this.#timer);
    clearTimeout(this.#patience);
    this.#owed = true;
    try {
      const sdp = await peer.offer({ restartWith: this.connection.iceServers });
      if (outdated()) return;
      this.#hear(peer, outdated).catch((error) => console.debug('nothing to hear', error));
      const replied = this.connection.request({ type: 'restart', stream: this.streamId(), sdp });
      peer.trickle();
      this.#timer = setTimeout(() => this.#machine.fire('restart failed', {}), RESTARTED_WITHIN);
      this.#patience = setTimeout(() => this.#machine.fire('unanswered', {}), ANSWERED_WITHIN);
      const answer = await replied;
      if (outdated()) return;
      clearTimeout(this.#patience);
      await peer.accept(answer.sdp);
      if (outdated()) return;
      this.#owed = false;
      this.#machine.fire('answered', {});
    } catch (error) {
      if (outdated()) return;
      clearTimeout(this.#timer);
      clearTimeout(this.#patience);
      // When the page is back, it is asked again.
      if (error instanceof ConnectionLost) return;
      console.debug('not restarted', error);
      const code = error instanceof ProtocolError ? error.code : '';
      if (GONE.has(code)) this.#atServer = false;
      this.#owed = false;
      if (code === 'restart_refused') this.connection.refusesRestarts = true;
      this.#machine.fire(code === 'restart_refused' ? 'restart refused' : 'restart failed', {});
    }
  }

  /**
   * Wait until something comes over a restarted path. A browser that had not noticed that its path was gone does not
   * tell of a new one.
   * @param {Peer} peer
   * @param {() => boolean} outdated
   */
  async #hear(peer, outdated) {
    let before = bytesReceived(await peer.stats());
    while (!outdated() && !this.works) {
      await new Promise((resolve) => setTimeout(resolve, HEAR_EVERY));
      const now = bytesReceived(await peer.stats());
      const heard = now > before;
      // Where pairs of candidates are counted, what came over the old ones may no longer be.
      before = now;
      if (heard && !outdated() && peer.pc.connectionState === 'connected') this.#machine.fire('path found', {});
    }
  }

  /** @returns {Peer | null} null if the browser cannot use the server's settings, which another attempt would not change */
  #newPeer() {
    if (!hasWebRTC()) {
      this.#machine.fire('impossible', { error: new LinkFailure('no_webrtc') });
      return null;
    }
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
   * Translate the peer connection's state (W3C WebRTC section 4.4.3) to a trigger of the table.
   * @type {Partial<Record<RTCPeerConnectionState, () => void>>}
   */
  #pathTold = {
    connected: () => this.#machine.fire('path found', {}),
    disconnected: () => this.#machine.fire('path disturbed', {}),
    failed: () => {
      this.#judgeStability();
      this.#machine.fire('path lost', { error: new LinkFailure('no_media_path') });
    },
  };

  /** @param {Error} error */
  #fail(error) {
    this.#judgeStability();
    this.#machine.fire('failed', { error });
  }

  /** Forget earlier failures if it has worked for long. */
  #judgeStability() {
    if (this.#connectedAt !== null && Date.now() - this.#connectedAt >= STABLE_AFTER) this.#forgetFailures();
  }

  #forgetFailures() {
    this.#tries = 0;
    this.#refusals = 0;
  }

  /** Close the peer, and end the server's side of it if there is one. */
  #end() {
    clearTimeout(this.#timer);
    clearTimeout(this.#patience);
    this.#connectedAt = null;
    this.#owed = false;
    const peer = this.peer;
    this.peer = null;
    peer?.silence();
    if (!this.#atServer) {
      // Closing takes a browser tens of milliseconds. What comes next, such as another room, does not wait for it.
      setTimeout(() => peer?.close());
      return;
    }
    this.#atServer = false;
    const undoing = this.undo()
      // The stream or the connection has already ended, so there is nothing left to undo.
      .catch((error) => console.debug('nothing to undo', error))
      .then(() => {
        // This is not done earlier, because the server would see the closed connection as a failure.
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

  /**
   * The server has answered the offer.
   * @param {Answer} _answer
   */
  answered(_answer) {}

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

/** @param {Connection} connection */
function serversOf({ iceServers }) {
  return JSON.stringify(iceServers.map(({ urls }) => urls));
}

/** @param {Error | undefined} error */
function passes(error) {
  return (error instanceof ProtocolError || error instanceof LinkFailure) && PASSING.has(error.code);
}
