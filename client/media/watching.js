// The streams that the user watches: a view of every stream of others, as far as the server allows and the user
// wants.

import { Emitter } from '../wire/emitter.js';
import { hasWebRTC } from './devices.js';
import { Viewing } from './viewing.js';

/** @import {CandidateFound, Size, StreamChanged, StreamInfo} from '../wire/messages.d.ts' */
/** @import {Connection} from '../wire/connection.js' */

/** Milliseconds between two checks whether media still come. */
const MEASURE_EVERY = 1_000;

/**
 * `solved`: the stream with this id is received, or is not wanted any more.
 * @typedef {{
 *   change: void,
 *   failed: { stream: string, error: Error, tries: number, givenUp: boolean },
 *   solved: string,
 * }} WatchingEvents
 */

/** @extends {Emitter<WatchingEvents>} */
export class Watching extends Emitter {
  /** Views by stream id. A hidden stream has an idle view. @type {Map<string, Viewing>} */
  views = new Map();
  /** The view of the first stream of a room that is asked for. @type {Viewing | null} */
  #foreseen = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #measuring;

  /**
   * How large each of so many pictures is until it is shown. Only who tells the size later may say less.
   * @type {(pictures: number) => Size}
   */
  expectedSize = () => 'large';

  /** @param {Connection} connection */
  constructor(connection) {
    super();
    this.#connection = connection;
  }
  #connection;

  /** A room is asked for. What the first view there needs is made ready while the server answers. */
  foresee() {
    this.forgetForeseen();
    if (!hasWebRTC()) return;
    this.#foreseen = new Viewing(this.#connection, '');
    this.#foreseen.foresee();
  }

  /** There is nothing to watch after all. */
  forgetForeseen() {
    this.#foreseen?.forget();
    this.#foreseen = null;
  }

  /**
   * View new streams, and forget those that have ended.
   * @param {StreamInfo[]} streams those of the others
   */
  follow(streams) {
    const ids = new Set(streams.map((stream) => stream.id));
    for (const [id, view] of this.views) {
      if (ids.has(id)) continue;
      this.views.delete(id);
      view.drop();
      this.emit('solved', id);
    }
    for (const id of ids) {
      if (this.views.has(id)) continue;
      const view = this.#foreseen ?? new Viewing(this.#connection, id);
      this.#foreseen = null;
      view.id = id;
      view.adjust(this.expectedSize(streams.length));
      this.views.set(id, view);
      view.on('change', () => {
        if (view.works || view.idle) this.emit('solved', id);
        this.emit('change', undefined);
      });
      view.on('failed', (failure) => this.emit('failed', { stream: id, ...failure }));
      if (this.#open() < (this.#connection.welcome?.limits.views ?? Infinity)) view.start();
    }
    clearInterval(this.#measuring);
    if (ids.size > 0) this.#measuring = setInterval(() => this.#measure(), MEASURE_EVERY);
    this.emit('change', undefined);
  }

  /** @param {string} id */
  show(id) {
    this.views.get(id)?.show();
  }

  /** @param {string} id */
  hide(id) {
    void this.views.get(id)?.stop();
  }

  /**
   * @param {string} id
   * @param {Size} size how large the user sees the picture; with *none*, only the sound is received
   */
  see(id, size) {
    this.views.get(id)?.adjust(size);
  }

  /** @param {StreamChanged} message */
  changed({ stream, view: state, reason }) {
    const view = this.views.get(stream.id);
    if (!view || !state) return;
    view.serverSays(state, reason);
    this.emit('change', undefined);
  }

  /** @param {CandidateFound} message */
  candidateFound(message) {
    this.views.get(message.stream)?.candidateFound(message);
  }

  /** End every view, because the user leaves the room or the session is new. */
  leave() {
    this.forgetForeseen();
    this.follow([]);
  }

  /**
   * Continue, because the user is back in the room with the same session.
   * @param {boolean} moved whether the network has changed
   */
  resume(moved) {
    for (const view of this.views.values()) view.resume(true, moved);
  }

  #measure() {
    for (const view of this.views.values()) void view.measure();
  }

  #open() {
    return [...this.views.values()].filter((view) => !view.idle).length;
  }
}
