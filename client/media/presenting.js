// What one presents oneself: starts and stops camera and screen, and tells when one fails.

import { Emitter } from '../wire/emitter.js';
import { capture } from './devices.js';
import { Publication } from './publication.js';

/** @import {CandidateFound, Source, StreamInfo} from '../wire/messages.d.ts' */
/** @import {Capture} from './devices.js' */
/** @import {Connection} from '../wire/connection.js' */

/**
 * What the user should know. `topic` names the cause, as `publish:camera`: newer news of a topic replaces the older.
 * What is `lasting` holds until the topic is solved. page/words.js has the words.
 * @template {{ what: string }} What
 * @typedef {What & { kind: 'info' | 'error', topic: string, lasting?: boolean }} News
 */

/**
 * `publishFailed`: the stream does not reach the room; `givenUp`: and is not tried again by itself.
 * `deviceEnded`: the browser stopped it, or it was unplugged. `microphoneEnded`: so, and the picture goes on.
 * `unpublishFailed`: the server still has what was stopped here.
 * @typedef {(
 *   { what: 'noMicrophone' | 'microphoneEnded' } |
 *   { what: 'deviceEnded', label: Capture } |
 *   { what: 'publishFailed', label: Capture, error: Error, givenUp: boolean } |
 *   { what: 'unpublishFailed', error: unknown }
 * )} PresentingNews
 */

/** @typedef {{ change: void, news: News<PresentingNews>, solved: string }} PresentingEvents */

/** @extends {Emitter<PresentingEvents>} */
export class Presenting extends Emitter {
  /** @type {Map<Source, Publication>} */
  publications = new Map();
  /** Sources being started or stopped. @type {Set<Source>} */
  busy = new Set();

  /**
   * @param {Connection} connection
   * @param {() => string} ownId
   */
  constructor(connection, ownId) {
    super();
    this.#connection = connection;
    this.#ownId = ownId;
  }
  #connection;
  #ownId;
  /** Counts the rooms: a device that is granted after one left is let go. */
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

  /** The room is left: everything is over here; the server ends it by itself. */
  leave() {
    this.#visit += 1;
    for (const publication of this.publications.values()) {
      publication.releaseDevices();
      publication.drop();
    }
    this.publications.clear();
    this.emit('change', undefined);
  }

  /** The room closed, and is entered again as soon as it can be. */
  suspend() {
    for (const publication of this.publications.values()) publication.suspend();
  }

  /** Back in the room by a new session: publish everything again. */
  startAnew() {
    for (const publication of this.publications.values()) publication.startAnew();
  }

  /**
   * Back in the room by the same session.
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
    this.#find(streamId)?.endedByServer(reason);
  }

  /** @param {CandidateFound} message */
  candidateFound(message) {
    this.#find(message.stream)?.candidateFound(message);
  }

  /**
   * The server still has what was stopped here while the connection was lost.
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
 * The topic of the notices about a source.
 * @param {Source} source
 */
function topicOf(source) {
  return `publish:${source}`;
}
