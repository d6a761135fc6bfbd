// The switcher: a search over the rooms that the keyboard alone can use, from everywhere (Ctrl-K). It is the pattern
// "combobox with a list" of the WAI-ARIA Authoring Practices: the focus stays in the field, and the arrow keys move the
// mark in the list.

import { askRoomName } from '../room/naming.js';
import { followRooms } from '../room/rooms.js';
import { element, find, part, setText, updateList } from './dom.js';
import { roomLink, updateRoomLink } from './room-link.js';
import { has, inOrder, search } from './room-order.js';
import { say } from './say.js';
import { visitedRooms } from './visited.js';
import { nameFault } from './words.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */
/** @import {Choice} from './room-order.js' */

/** No more rooms than these are shown. Whoever has more types a part of the name. */
const MOST = 50;

export class Switcher {
  /** @type {RoomSummary[]} */
  #rooms = [];
  #known = true;
  #marked = 0;
  /** How many options were made, for their ids. */
  #made = 0;
  #stop = () => {};

  /**
   * @param {HTMLDialogElement} dialog
   * @param {() => string} here the room in which the user is, or wants to be; empty: none
   * @param {(room: string) => void} go
   */
  constructor(dialog, here, go) {
    this.#dialog = dialog;
    this.#here = here;
    this.#go = go;
    this.#input = find(dialog, '[data-testid="switcher-input"]', HTMLInputElement);
    this.#list = part(dialog, 'switcher-list');
    this.#told = part(dialog, 'switcher-told');
    this.#input.addEventListener('input', () => {
      this.#marked = 0;
      this.#show();
    });
    this.#input.addEventListener('keydown', (event) => this.#pressed(event));
    // The links of rooms are followed by the page itself.
    this.#list.addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => this.#stop());
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog) dialog.close();
    });
  }
  #dialog;
  #here;
  #go;
  #input;
  #list;
  #told;

  open() {
    if (this.#dialog.open) return;
    this.#input.value = '';
    this.#marked = 0;
    this.#show();
    this.#dialog.showModal();
    this.#stop = followRooms(
      (rooms) => {
        [this.#rooms, this.#known] = [rooms, true];
        this.#show();
      },
      () => {
        this.#known = false;
        this.#show();
      },
    );
  }

  #show() {
    const all = inOrder(this.#rooms, { visited: visitedRooms(), here: this.#here() });
    const typed = this.#input.value.trim();
    const found = search(all, typed).slice(0, MOST);
    const fresh = typed !== '' && !has(all, typed) && typed !== this.#here();
    updateList(
      this.#list,
      [...found, ...(fresh ? [null] : [])],
      (room) => (room === null ? 'new' : `room ${room.name}`),
      (room) => this.#option(room),
      (item, room) => {
        if (room === null) setText(find(item, '.room-name', HTMLElement), say('rooms.open', { name: typed }));
        else updateRoomLink(item, room);
      },
    );
    setText(this.#told, this.#known ? (found.length === 0 && !fresh ? say('rooms.noOther') : '') : say('rooms.unknown'));
    this.#mark(Math.min(this.#marked, this.#options().length - 1));
  }

  /** @param {Choice | null} room null: the room whose name was typed, which does not exist yet */
  #option(room) {
    const option =
      room === null
        ? element('button', { class: 'room-link', testid: 'switcher-new' }, element('span', { class: 'room-name' }))
        : roomLink(room.name, 'switcher-link');
    if (room === null) option.addEventListener('click', () => void this.#goToTyped());
    option.setAttribute('role', 'option');
    option.tabIndex = -1;
    option.id = `switcher-option-${(this.#made += 1)}`;
    const item = element('li', {}, option);
    item.setAttribute('role', 'presentation');
    return item;
  }

  #options() {
    return [...this.#list.querySelectorAll('[role="option"]')].filter((option) => option instanceof HTMLElement);
  }

  /** @param {number} at */
  #mark(at) {
    const options = this.#options();
    this.#marked = Math.max(0, at);
    options.forEach((option, index) => option.setAttribute('aria-selected', String(index === this.#marked)));
    const marked = options[this.#marked];
    if (marked) this.#input.setAttribute('aria-activedescendant', marked.id);
    else this.#input.removeAttribute('aria-activedescendant');
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.isComposing) return;
    const options = this.#options();
    /** @type {Record<string, number>} */
    const steps = { ArrowDown: this.#marked + 1, ArrowUp: this.#marked - 1 };
    const step = steps[event.key];
    if (step !== undefined && options.length > 0) {
      event.preventDefault();
      this.#mark((step + options.length) % options.length);
      options[this.#marked]?.scrollIntoView({ block: 'nearest' });
    } else if (event.key === 'Enter') {
      event.preventDefault();
      options[this.#marked]?.click();
    }
  }

  async #goToTyped() {
    const answer = await askRoomName(this.#input.value);
    const { name } = answer;
    if (name !== undefined) {
      this.#go(name);
      return;
    }
    // The list has closed the dialog.
    this.open();
    setText(this.#told, nameFault(answer) ?? '');
  }
}
