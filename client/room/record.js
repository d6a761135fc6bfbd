// What this page saw of the connection, the room and its media, for a report about a fault. It is kept in the memory
// of the page alone, is bounded, and names nobody: no names, no chat, no tokens.

/** @import {MediaLink} from '../media/link.js' */
/** @import {Connection} from '../wire/connection.js' */
/** @import {Room} from './room.js' */

/** `at`: milliseconds since 1970. @typedef {{ at: number, what: string }} Entry */

/** The most entries that are kept, the newest ones. */
const MOST = 200;

export class Record {
  /** @type {Entry[]} the oldest first */
  entries = [];
  /** The last known state of each link to the media server, by stream. @type {Map<string, string>} */
  #links = new Map();
  #now;

  /**
   * @param {Room} room
   * @param {Connection} connection
   * @param {() => number} [now]
   */
  constructor(room, connection, now = Date.now) {
    this.#now = now;
    this.#room = room;
    let phase = '';
    let status = '';
    connection.on('state', (state) => {
      if (state.phase !== phase) this.note(`connection ${state.phase}`);
      phase = state.phase;
    });
    connection.on('lost', ({ code }) => this.note(`connection lost, code ${code}`));
    connection.on('ready', ({ joined }) => this.note(joined ? 'session resumed' : 'session new'));
    connection.on('unasked', ({ message, code }) => this.note(`refused ${message ?? ''} ${code}`));
    room.on('news', ({ what, ...news }) => this.note(`news ${what}${codeOf('error' in news ? news.error : null)}`));
    room.on('change', (part) => {
      if (part === 'status' && room.status !== status) {
        status = room.status;
        this.note(`room ${status}`);
      }
      if (part === 'media') this.#followLinks();
    });
  }
  #room;

  /** @param {string} what */
  note(what) {
    this.entries.push({ at: this.#now(), what });
    if (this.entries.length > MOST) this.entries.shift();
  }

  #followLinks() {
    const { presenting, watching } = this.#room;
    /** @type {[string, MediaLink][]} */
    const links = [
      ...[...presenting.publications.values()].map(
        (link) => /** @type {[string, MediaLink]} */ ([`sending ${link.source}`, link]),
      ),
      ...[...watching.views].map(([id, link]) => /** @type {[string, MediaLink]} */ ([`receiving ${id}`, link])),
    ];
    for (const [name, { state }] of links) {
      if (this.#links.get(name) !== state) this.note(`${name} ${state}`);
      this.#links.set(name, state);
    }
    const names = new Set(links.map(([name]) => name));
    for (const name of this.#links.keys()) {
      if (names.has(name)) continue;
      this.#links.delete(name);
      this.note(`${name} ended`);
    }
  }
}

/** @param {unknown} error */
function codeOf(error) {
  if (typeof error !== 'object' || error === null) return '';
  return ` ${'code' in error ? String(error.code) : error instanceof Error ? error.name : ''}`;
}
