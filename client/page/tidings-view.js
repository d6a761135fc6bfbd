// Reads aloud what happens in the room, by a live region that nobody sees.

import { part } from './dom.js';
import { listed, say } from './say.js';
import { sceneOf, spacing, Tidings } from './tidings.js';

/** @import {Room} from '../room/room.js' */

export class TidingsView {
  #tidings = new Tidings();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #key = '';

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   */
  constructor(root, room) {
    this.#room = room;
    this.#told = part(root, 'tidings');
  }
  #room;
  #told;

  destroy() {
    clearTimeout(this.#timer);
  }

  /** The room was entered, or entered again. */
  reset() {
    const { state } = this.#room;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#tidings.begin(state && sceneOf(state));
    if (!state || state.key === this.#key) return;
    this.#key = state.key;
    this.tell(say('told.here', { room: state.name, people: say('people.count', { count: state.participants.size }) }));
  }

  /** Something happened, which is told together with what follows at once. */
  update() {
    const { state } = this.#room;
    if (state) this.#timer ??= setTimeout(() => this.#tellAll(), spacing(state.participants.size));
  }

  /** @param {string} text */
  tell(text) {
    this.#told.textContent = text;
  }

  #tellAll() {
    this.#timer = undefined;
    const { state, mayPresent } = this.#room;
    if (!state || !mayPresent) return;
    const told = this.#tidings.next(sceneOf(state), Date.now()).map(({ event, names, others }) =>
      say(`told.${event}`, {
        count: names.length + others,
        names: listed([...names, ...(others > 0 ? [say('told.others', { count: others })] : [])]),
      }),
    );
    if (told.length > 0) this.tell(told.join(' '));
  }
}
