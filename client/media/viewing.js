// One's view of somebody's stream: the link that receives it, and the tracks whose media have come.

import { Flow, receivedSoFar } from './flow.js';
import { MediaLink } from './link.js';

/** @import {ViewState} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */

/** Milliseconds after the first sound in which a picture, if there is one, has had its first packet. */
const PICTURE_WITHIN = 2_000;
/** The server's final states of a view. @type {ReadonlySet<ViewState>} */
const OVER = new Set(/** @type {const} */ (['ended']));

export class Viewing extends MediaLink {
  /**
   * The received tracks, each from the arrival of its first packet on: a player that were given a video track
   * without media would hold back the sound of a presenter who sends sound only.
   */
  stream = new MediaStream();
  /** Whether all tracks that there are must have come. */
  settled = false;
  /** What the server says of this view. @type {ViewState} */
  serverState = 'negotiating';
  #flow = new Flow();

  /**
   * @param {Connection} connection
   * @param {string} id the stream's
   */
  constructor(connection, id) {
    super(connection, Infinity);
    this.#id = id;
  }
  #id;

  /** @override */
  streamId() {
    return this.#id;
  }

  /**
   * @override
   * @param {RTCPeerConnection} pc
   */
  prepare(pc) {
    const stream = new MediaStream();
    this.stream = stream;
    this.settled = false;
    this.serverState = 'negotiating';
    this.#flow = new Flow();
    pc.addTransceiver('audio', { direction: 'recvonly' });
    pc.addTransceiver('video', { direction: 'recvonly' });
    pc.addEventListener('track', ({ track }) => {
      const arrived = () => {
        if (stream.getTracks().length === 0) setTimeout(() => this.#settle(stream), PICTURE_WITHIN);
        stream.addTrack(track);
        this.emit('change', undefined);
      };
      if (track.muted) track.addEventListener('unmute', arrived, { once: true });
      else arrived();
    });
  }

  /**
   * The server says how this view fares.
   * @param {ViewState} state
   * @param {string} [reason] why it ended
   */
  serverSays(state, reason = 'failed') {
    if (OVER.has(state)) {
      this.endedByServer(reason);
      return;
    }
    this.serverState = state;
    // What was not sent has not stalled.
    this.#flow = new Flow();
  }

  /** Whether media came, and come no more. */
  get stalled() {
    return this.#flow.stalled;
  }

  /** Look whether media still come. */
  async measure() {
    const flow = this.#flow;
    const report = await this.peer?.pc.getStats();
    if (!report) return;
    const { stalled } = flow;
    flow.measure(receivedSoFar(report.values()), performance.now());
    if (flow.stalled !== stalled) this.emit('change', undefined);
  }

  /** @param {MediaStream} stream */
  #settle(stream) {
    if (stream !== this.stream) return;
    this.settled = true;
    this.emit('change', undefined);
  }

  /**
   * @override
   * @param {string} sdp
   */
  ask(sdp) {
    return this.connection.request({ type: 'view', stream: this.#id, sdp });
  }

  /** @override */
  undo() {
    return this.connection.request({ type: 'unview', stream: this.#id });
  }
}
