// Knows why the user is not in the wanted room at this moment, for as long as that is so: the newest news about it, and
// the cause why there is no connection.

import { BASE } from '../wire/base.js';
import { Emitter } from '../wire/emitter.js';
import { findCause } from './cause.js';

/** @import {News} from '../media/presenting.js' */
/** @import {Connection} from '../wire/connection.js' */
/** @import {Cause} from './cause.js' */
/** @import {Room, RoomNews} from './room.js' */

/** The topic of all news about the user's absence. */
export const PRESENCE = 'presence';

/** @extends {Emitter<{ change: void }>} */
export class Absence extends Emitter {
  /** @type {News<RoomNews> | null} */
  news = null;
  /** Why there is no connection; null: it is not known, or there is one. @type {Cause | null} */
  cause = null;
  /** What was found out last. A websocket may fail just before the server is back, so one finding is no proof. @type {Cause | null} */
  #found = null;
  /** Whether the present connection has ever worked. */
  #worked = false;

  /**
   * @param {Room} room
   * @param {Connection} connection
   * @param {() => Promise<Cause>} [find]
   */
  constructor(room, connection, find = () => findCause(BASE)) {
    super();
    this.#find = find;
    connection.on('ready', () => {
      this.#worked = true;
      this.#found = null;
      this.#know(null);
    });
    connection.on('lost', ({ final }) => {
      // What has just worked is tried again before anybody looks for a cause.
      if (!this.#worked && !final) void this.#ask(connection);
      this.#worked = false;
    });
    room.on('news', (news) => {
      if (news.topic === PRESENCE) this.#hear(news);
    });
    room.on('solved', (topic) => {
      if (topic === PRESENCE) this.#hear(null);
    });
    room.on('moved', () => this.#hear(null));
  }
  #find;

  /** @param {Connection} connection */
  async #ask(connection) {
    const cause = await this.#find();
    if (connection.ready) return;
    const certain = cause !== 'noUpgrade' || this.#found === cause;
    this.#found = cause;
    this.#know(certain ? cause : null);
  }

  /** @param {Cause | null} cause */
  #know(cause) {
    if (this.cause === cause) return;
    this.cause = cause;
    this.emit('change', undefined);
  }

  /** @param {News<RoomNews> | null} news */
  #hear(news) {
    this.news = news;
    this.emit('change', undefined);
  }
}
