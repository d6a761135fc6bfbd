// The user's own streams: starts and stops camera and screen, and reports failures.

import { Emitter } from '../wire/emitter.js';
import { capture } from './devices.js';
import { Publication } from './publication.js';
import { Voice } from './voice.js';

/** @import {CandidateFound, Source, StreamInfo} from '../wire/messages.d.ts' */
/** @import {Capture} from './devices.js' */
/** @import {Connection} from '../wire/connection.js' */

/**
 * News for the user. `topic` names the cause, such as `publish:camera`. A newer message of a topic replaces the
 * older one. A `lasting` message is valid until its topic is solved, and can be read for a while after that if it is
 * one `toRead`. page/words.js has the texts.
 * @template {{ what: string }} What
 * @typedef {What & { kind: 'info' | 'error', topic: string, lasting?: boolean, toRead?: boolean }} News
 */

/**
 * `endedByModerator`: the stream, which is not published again by itself. `publishFailed`: the stream does not reach the room. With `givenUp`, the page does not try again by itself.
 * `deviceEnded`: the browser stopped the device, or it was unplugged. `microphoneEnded`: this happened to the
 * microphone, and the picture goes on. `unpublishFailed`: the server still has a stream that was stopped here.
 * @typedef {(
 *   { what: 'noMicrophone' | 'microphoneEnded' } |
 *   { what: 'deviceEnded' | 'endedByModerator', label: Capture } |
 *   { what: 'publishFailed', label: Capture, error: Error, givenUp: boolean } |
 *   { what: 'unpublishFailed', error: unknown }
 * )} PresentingNews
 */

/** `voice`: the user begins or ceases to speak. @typedef {{ change: void, voice: void, news: News<PresentingNews>, solved: string }} PresentingEvents */

/** @extends {Emitter<PresentingEvents>} */
export class Presenting extends Emitter {
  /** @type {Map<Source, Publication>} */
  publications = new Map();
  /** The sources that are being started or stopped. @type {Set<Source>} */
  busy = new Set();

  /**
   * @param {Connection} connection
   * @param {() => string} ownId
   */
  constructor(connection, ownId) {
    super();
    this.#connection = connection;
    this.#ownId = ownId;
    this.on('change', () => this.#listen());
  }
  #connection;
  #ownId;
  /** Listens to the microphone while it is sent. @type {{ publication: Publication, voice: Voice } | null} */
  #listening = null;
  /** Counts the rooms. If a device is granted after the user left the room, it is released. */
  #visit = 0;

  /**
   * @param {Capture} what
   * @returns {Promise<void>} rejects with `DeviceError`
   */
  async start(what) {
    /** @type {Source} */
    const source = what === 'screen' ? 'screen' : 'camera';
    if (this.busy.has(source) || this.publications.has(source)) return;
    const visit = this.#visit;
    await this.#busyWith(source, async () => {
      const { stream, noMicrophone } = await capture(what);
      const publication = new Publication(this.#connection, this.#ownId, source, stream);
      if (visit !== this.#visit) {
        publication.releaseDevices();
        return;
      }
      this.emit('solved', topicOf(source));
      if (noMicrophone) this.emit('news', { what: 'noMicrophone', kind: 'info', topic: topicOf(source) });
      this.#watch(publication);
      this.publications.set(source, publication);
    });
    this.publications.get(source)?.start();
  }

  /** Whether the user speaks into a microphone that is sent. */
  get speaks() {
    return this.#listening?.voice.speaks ?? false;
  }

  /** Turn the microphone off. */
  mute() {
    const camera = this.publications.get('camera');
    if (camera?.isOn('audio')) camera.turn('audio', false);
  }

  /** Listen to the present microphone, if there is one. */
  #listen() {
    const camera = this.publications.get('camera');
    const wanted = camera?.has('audio') ? camera : undefined;
    if (this.#listening?.publication === wanted) return;
    this.#listening?.voice.close();
    this.#listening = null;
    const track = wanted?.stream.getAudioTracks()[0];
    if (wanted && track && typeof AudioContext !== 'undefined')
      this.#listening = { publication: wanted, voice: new Voice(track, () => this.emit('voice', undefined)) };
  }

  /** @param {Source} source */
  async stop(source) {
    const publication = this.publications.get(source);
    if (!publication || this.busy.has(source)) return;
    this.emit('solved', topicOf(source));
    await this.#busyWith(source, async () => {
      publication.releaseDevices();
      await publication.stop();
      this.publications.delete(source);
    });
  }

  /** End everything here, because the user leaves the room. The server ends its side by itself. */
  leave() {
    this.#visit += 1;
    for (const publication of this.publications.values()) {
      publication.releaseDevices();
      publication.drop();
    }
    this.publications.clear();
    this.emit('change', undefined);
  }

  /** Pause, because the room closed. It is entered again as soon as possible. */
  suspend() {
    for (const publication of this.publications.values()) publication.suspend();
  }

  /** Publish everything again, because the user is back in the room with a new session. */
  startAnew() {
    for (const publication of this.publications.values()) publication.startAnew();
  }

  /**
   * Continue, because the user is back in the room with the same session.
   * @param {Map<string, StreamInfo>} streams of the room
   */
  resume(streams) {
    for (const source of /** @type {Source[]} */ (['camera', 'screen'])) {
      const id = `${this.#ownId()}.${source}`;
      const publication = this.publications.get(source);
      if (publication) publication.resume(streams.has(id));
      else if (streams.has(id)) this.#end(id);
    }
  }

  /**
   * @param {string} streamId
   * @param {string} reason
   */
  ended(streamId, reason) {
    const publication = this.#find(streamId);
    if (!publication) return;
    if (reason !== 'moderator') {
      publication.endedByServer(reason);
      return;
    }
    // Nothing that was not asked for here is sent against a moderator's will.
    publication.releaseDevices();
    publication.drop();
    this.publications.delete(publication.source);
    const topic = topicOf(publication.source);
    this.emit('solved', topic);
    this.emit('news', { what: 'endedByModerator', label: publication.label(), kind: 'info', topic });
    this.emit('change', undefined);
  }

  /** @param {CandidateFound} message */
  candidateFound(message) {
    this.#find(message.stream)?.candidateFound(message);
  }

  /**
   * End a stream at the server that was stopped here while the connection was lost.
   * @param {string} stream
   */
  #end(stream) {
    this.#connection
      .request({ type: 'unpublish', stream })
      .catch((error) => this.emit('news', { what: 'unpublishFailed', error, kind: 'error', topic: 'unpublish' }));
  }

  /** @param {string} streamId */
  #find(streamId) {
    return [...this.publications.values()].find((publication) => publication.streamId() === streamId);
  }

  /** @param {Publication} publication */
  #watch(publication) {
    const label = publication.label();
    const topic = topicOf(publication.source);
    let failing = false;
    publication.on('change', () => {
      if (failing && publication.works) {
        failing = false;
        this.emit('solved', topic);
      }
      this.emit('change', undefined);
    });
    publication.on('failed', ({ error, givenUp }) => {
      failing = true;
      if (givenUp) void this.stop(publication.source);
      this.emit('news', { what: 'publishFailed', label, error, givenUp, kind: 'error', topic, lasting: true });
    });
    for (const track of publication.stream.getTracks()) {
      track.addEventListener('ended', () => {
        if (this.publications.get(publication.source) !== publication) return;
        if (
          publication.stream
            .getTracks()
            .some((other) => other.readyState === 'live' && other.kind === 'video')
        ) {
          this.emit('news', { what: 'microphoneEnded', kind: 'error', topic });
          return;
        }
        void this.stop(publication.source);
        this.emit('news', { what: 'deviceEnded', label, kind: 'info', topic });
      });
    }
  }

  /**
   * @param {Source} source
   * @param {() => Promise<void>} work
   */
  async #busyWith(source, work) {
    this.busy.add(source);
    this.emit('change', undefined);
    try {
      await work();
    } finally {
      this.busy.delete(source);
      this.emit('change', undefined);
    }
  }
}

/**
 * The topic of notices about a source.
 * @param {Source} source
 */
function topicOf(source) {
  return `publish:${source}`;
}
