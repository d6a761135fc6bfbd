// A view of somebody's stream: the link that receives it, and the tracks whose media have come.

import { Flow, receivedSoFar } from './flow.js';
import { MediaLink } from './link.js';
import { PathQuality, sampleOf } from './quality.js';

/** @import {Expected} from './flow.js' */
/** @import {Size, ViewState} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */

/** If there is a picture, its first packet comes within so many milliseconds after the first sound. */
const PICTURE_WITHIN = 2_000;
/** What is turned on again comes, and the server says so, within so many milliseconds. */
const COMES_WITHIN = 3_000;
/** The most seconds that the server lets a page report. */
const LONGEST_WAIT = 600;
/** The server's final states of a view. @type {ReadonlySet<ViewState>} */
const OVER = new Set(/** @type {const} */ (['ended']));

export class Viewing extends MediaLink {
  /**
   * The received tracks. Each is added when its first packet arrives. A player with a video track without media
   * would delay the sound of a presenter who sends only sound.
   */
  stream = new MediaStream();
  /** Whether all existing tracks should have come by now. */
  settled = false;
  /** The server's state of this view. @type {ViewState} */
  serverState = 'negotiating';
  /** How good the path from the media server is. */
  quality = new PathQuality();
  #flow = new Flow();
  /** When something was turned on after nothing was, until it had time to come. @type {number | null} */
  #begunAgain = null;
  /** @type {Expected} */
  #expected = { picture: true, sound: true };

  /**
   * @param {Connection} connection
   * @param {string} id the stream's; empty: not known yet
   */
  constructor(connection, id) {
    super(connection, Infinity);
    this.id = id;
  }
  /** How large the user sees the picture. */
  #size = /** @type {Size} */ ('large');
  /** What the server was told of that; null if it has no view of ours. @type {Size | 'unknown' | null} */
  #told = null;
  /** Whether the server was told another size than that with which the view began. */
  #adjusted = false;
  /** When the server was asked; null after the first picture was reported. @type {number | null} */
  #asked = null;

  /** @override */
  streamId() {
    return this.id;
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
    this.#told = null;
    this.#adjusted = false;
    this.#flow = new Flow();
    this.quality = new PathQuality();
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
   * Use the server's new state of this view.
   * @param {ViewState} state
   * @param {string} [reason] why it ended
   */
  serverSays(state, reason = 'failed') {
    if (OVER.has(state)) {
      this.endedByServer(reason);
      return;
    }
    this.serverState = state;
    // If nothing was sent, the stream has not stalled.
    this.#flow = new Flow();
  }

  /**
   * Whether nothing else is to come: no picture, no sound, or neither, because its presenter has turned them off.
   * @param {Expected} expected
   */
  expect({ picture, sound }) {
    const before = this.#expected;
    if (picture === before.picture && sound === before.sound) return;
    this.#expected = { picture, sound };
    // What begins again has not stalled before it had time to come.
    this.#flow = new Flow();
    this.#begunAgain = before.picture || before.sound ? null : performance.now();
  }

  /** Whether something has been turned on after nothing was, and had no time to come yet. */
  get comesSoon() {
    return this.#begunAgain !== null && (this.#expected.picture || this.#expected.sound);
  }

  /** Whether the user cannot see the picture, so that only the sound is received. */
  get unseen() {
    return this.#size === 'none';
  }

  /**
   * Tell how large the user sees the picture.
   * @param {Size} size
   */
  adjust(size) {
    if (size === this.#size) return;
    const wasUnseen = this.unseen;
    this.#size = size;
    if (wasUnseen !== this.unseen) this.#flow = new Flow();
    if (this.unseen) {
      // The user does not wait for it, so its time says nothing.
      this.#asked = null;
    } else if (wasUnseen && this.settled && this.stream.getVideoTracks().length === 0) {
      // Perhaps there is a picture that has never been asked for.
      this.settled = false;
      setTimeout(() => this.#settle(this.stream), PICTURE_WITHIN);
    }
    this.#tell();
    this.emit('change', undefined);
  }

  #tell() {
    const size = this.#size;
    if (this.#told === null || this.#told === size) return;
    this.#told = size;
    this.#adjusted = true;
    this.connection.request({ type: 'adjust', stream: this.id, size }).catch((error) => {
      // If the connection is lost, it is told again when the page is back. If the view has ended, it is not needed.
      console.debug('not adjusted', error);
      if (this.#told === size) this.#told = 'unknown';
    });
  }

  /**
   * @override
   * @param {boolean} atServer
   * @param {boolean} [moved]
   */
  resume(atServer, moved) {
    super.resume(atServer, moved);
    // A server that was killed and is back knows what it sends, but perhaps not what it was told last.
    if (this.#adjusted) this.#told = 'unknown';
    this.#tell();
  }

  /** Report how long the picture took, when it is shown for the first time. */
  shown() {
    if (this.#asked === null) return;
    const firstFrame = (performance.now() - this.#asked) / 1000;
    this.#asked = null;
    if (firstFrame > LONGEST_WAIT) return;
    // If the connection is lost, one time less is counted.
    this.connection.request({ type: 'ping', firstFrame }).catch(() => undefined);
  }

  /** Whether media came before but come no more. */
  get stalled() {
    return this.#flow.stalled;
  }

  /** Check whether media still come, and how well. */
  async measure() {
    const [flow, quality] = [this.#flow, this.quality];
    const report = await this.peer?.stats();
    if (!report) return;
    const { stalled } = flow;
    const { comesSoon } = this;
    const now = performance.now();
    // That no picture comes is as it should be then.
    if (!this.unseen) flow.measure(receivedSoFar(report.values(), this.#expected), now);
    const another = quality.take(sampleOf(report.values(), now));
    if (this.#begunAgain !== null && now - this.#begunAgain > COMES_WITHIN) this.#begunAgain = null;
    if (flow.stalled !== stalled || this.comesSoon !== comesSoon || another) this.emit('change', undefined);
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
    const size = this.#size;
    this.#told = size;
    this.#asked = this.unseen ? null : performance.now();
    return this.connection.request({ type: 'view', stream: this.id, sdp, ...(size === 'large' ? {} : { size }) });
  }

  /** @override */
  undo() {
    this.#told = null;
    return this.connection.request({ type: 'unview', stream: this.id });
  }
}
