// The start page: the open rooms, the user's name, and the form to enter a room.

import { mayInspect } from '../wire/inspector-access.js';
import { askDisplayName, askRoomName } from '../room/naming.js';
import { ownRoomName } from '../room/own-name.js';
import { followRooms } from '../room/rooms.js';
import { button, element, find, fromTemplate, part, setText, updateList } from './dom.js';
import { roomLink, updateRoomLink } from './room-link.js';
import { inOrder, search } from './room-order.js';
import { needsSearch } from './roster.js';
import { rememberedName, rememberName } from './settings.js';
import { say } from './say.js';
import { visitedRooms } from './visited.js';
import { nameFault } from './words.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */

export class StartView {
  root = fromTemplate('start-template');

  /** @param {(room: string) => void} enter */
  constructor(enter) {
    this.#rooms = part(this.root, 'rooms');
    this.#empty = part(this.root, 'rooms-empty');
    this.#search = find(this.root, '[data-testid="start-search"]', HTMLInputElement);
    const form = find(this.root, 'form', HTMLFormElement);
    const nameInput = find(this.root, '[name="name"]', HTMLInputElement);
    const roomInput = find(this.root, '[name="room"]', HTMLInputElement);
    const fault = find(this.root, '.fault', HTMLElement);
    nameInput.value = rememberedName();

    /**
     * @param {HTMLInputElement} input
     * @param {string | undefined} wrong
     */
    const tell = (input, wrong) => {
      fault.textContent = wrong ?? '';
      input.setAttribute('aria-invalid', String(wrong !== undefined));
    };
    /** @returns {Promise<boolean>} whether the name is allowed */
    const keepName = async () => {
      const typed = nameInput.value;
      const answer = typed.trim() === '' ? { name: '' } : await askDisplayName(typed);
      // If more was typed meanwhile, the next change event checks it.
      if (nameInput.value !== typed) return false;
      tell(nameInput, nameFault(answer));
      if (answer.name === undefined) return false;
      rememberName(answer.name);
      nameInput.value = answer.name;
      return true;
    };
    /** @param {string} typed */
    const goIn = async (typed) => {
      if (!(await keepName())) {
        nameInput.focus();
        return;
      }
      const answer = await askRoomName(typed);
      tell(roomInput, nameFault(answer));
      if (answer.name === undefined) roomInput.focus();
      else enter(answer.name);
    };
    nameInput.addEventListener('change', () => void keepName());
    roomInput.addEventListener('input', () => {
      fault.textContent = '';
      roomInput.removeAttribute('aria-invalid');
    });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void goIn(roomInput.value);
    });
    button(this.root, 'start-enter').type = 'submit';
    button(this.root, 'start-own-room').addEventListener('click', () => {
      roomInput.value = ownRoomName();
      void goIn(roomInput.value);
    });
    const inspector = part(this.root, 'inspector');
    void mayInspect().then((may) => {
      inspector.hidden = !may;
    });
    this.#search.addEventListener('input', () => this.#show());
    this.#end = followRooms(
      (rooms) => {
        [this.#open, this.#known] = [rooms, true];
        this.#show();
      },
      () => {
        // What was live may not be live any more.
        [this.#open, this.#known] = [this.#open.map((room) => ({ ...room, streams: 0 })), false];
        this.#show();
      },
    );
  }
  #rooms;
  #empty;
  #search;
  #end;
  /** The rooms that are open, as far as the page knows. @type {RoomSummary[]} */
  #open = [];
  /** Whether the server has just told them. */
  #known = true;

  destroy() {
    this.#end();
  }

  /** Say everything again, in another language. */
  update() {
    // The lists say their texts once.
    this.#rooms.replaceChildren();
    this.#show();
  }

  #show() {
    const rooms = inOrder(this.#open, { visited: visitedRooms() });
    this.#search.hidden = !needsSearch(rooms.length);
    if (this.#search.hidden) this.#search.value = '';
    const found = search(rooms, this.#search.value);
    updateList(
      this.#rooms,
      found,
      (room) => room.name,
      (room) => element('li', {}, roomLink(room.name, 'room-link')),
      updateRoomLink,
    );
    setText(this.#empty, this.#told(rooms.length, found.length));
  }

  /**
   * @param {number} rooms
   * @param {number} found
   */
  #told(rooms, found) {
    if (!this.#known) return say('rooms.unknown');
    if (rooms === 0) return say('rooms.none');
    return found === 0 ? say('rooms.noneFound', { typed: this.#search.value }) : '';
  }
}
