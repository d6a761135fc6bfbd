// The user's own stream: its captured tracks and the link that sends them.

import { MediaLink } from './link.js';

/** @import {Source} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */

const MAX_TRIES = 6;

export class Publication extends MediaLink {
  /**
   * @param {Connection} connection
   * @param {() => string} ownId one's participant id, which a new session changes
   * @param {Source} source
   * @param {MediaStream} stream captured; the publication's own from now on
   */
  constructor(connection, ownId, source, stream) {
    super(connection, MAX_TRIES);
    this.#ownId = ownId;
    this.source = source;
    this.stream = stream;
  }
  #ownId;

  /** @override */
  streamId() {
    return `${this.#ownId()}.${this.source}`;
  }

  /** @returns {'camera' | 'microphone' | 'screen'} for texts such as "your camera" */
  label() {
    if (this.source === 'screen') return 'screen';
    return this.has('video') ? 'camera' : 'microphone';
  }

  /** @param {'audio' | 'video'} kind */
  has(kind) {
    return this.#tracks(kind).length > 0;
  }

  /**
   * Turn a track on or off. A track that is off sends silence or black, and its device may stay on.
   * @param {'audio' | 'video'} kind
   */
  isOn(kind) {
    return this.#tracks(kind).some((track) => track.enabled);
  }

  /**
   * @param {'audio' | 'video'} kind
   * @param {boolean} on
   */
  turn(kind, on) {
    for (const track of this.#tracks(kind)) track.enabled = on;
    this.emit('change', undefined);
  }

  /** Release camera, microphone or screen. */
  releaseDevices() {
    for (const track of this.stream.getTracks()) track.stop();
  }

  /** @param {'audio' | 'video'} kind */
  #tracks(kind) {
    return this.stream.getTracks().filter((track) => track.kind === kind);
  }

  /**
   * @override
   * @param {RTCPeerConnection} pc
   */
  prepare(pc) {
    for (const track of [...this.#tracks('audio'), ...this.#tracks('video')]) {
      pc.addTransceiver(track, { direction: 'sendonly', streams: [this.stream] });
    }
  }

  /**
   * @override
   * @param {string} sdp
   */
  ask(sdp) {
    return this.connection.request({ type: 'publish', source: this.source, sdp });
  }

  /** @override */
  undo() {
    return this.connection.request({ type: 'unpublish', stream: this.streamId() });
  }
}
