// The lobby: rooms that are open, one's name, and the way into a room.

import { button, element, find, fromTemplate, icon, part, setText, updateList } from './dom.js';
import { mayInspect } from './inspector-access.js';
import { displayNameFault, roomNameFault, roomPath } from './names.js';
import { followRooms, inWords } from './rooms-list.js';
import { rememberedName, rememberName } from './settings.js';

/** @import {RoomSummary} from './api.d.ts' */

export class LobbyView {
  root = fromTemplate('lobby-template');

  /** @param {(room: string) => void} enter */
  constructor(enter) {
    this.#rooms = part(this.root, 'rooms');
    this.#empty = part(this.root, 'rooms-empty');
    const form = find(this.root, 'form', HTMLFormElement);
    const nameInput = find(this.root, '[name="name"]', HTMLInputElement);
    const roomInput = find(this.root, '[name="room"]', HTMLInputElement);
    const fault = find(this.root, '.fault', HTMLElement);
    nameInput.value = rememberedName();

    /** @returns {boolean} whether the name will do */
    const keepName = () => {
      const name = nameInput.value.trim();
      const wrong = name === '' ? null : displayNameFault(name);
      fault.textContent = wrong ?? '';
      nameInput.setAttribute('aria-invalid', String(wrong !== null));
      if (wrong === null) rememberName(name);
      return wrong === null;
    };
    nameInput.addEventListener('change', keepName);
    roomInput.addEventListener('input', () => {
      fault.textContent = '';
      roomInput.removeAttribute('aria-invalid');
    });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!keepName()) {
        nameInput.focus();
        return;
      }
      const room = roomInput.value.trim();
      const wrong = roomNameFault(room);
      fault.textContent = wrong ?? '';
      roomInput.setAttribute('aria-invalid', String(wrong !== null));
      if (wrong === null) enter(room);
      else roomInput.focus();
    });
    button(this.root, 'lobby-enter').type = 'submit';
    const inspector = part(this.root, 'inspector');
    void mayInspect().then((may) => {
      inspector.hidden = !may;
    });
    this.#end = followRooms(
      (rooms) => this.#show(rooms),
      () => setText(this.#empty, 'The list of rooms cannot be had just now. It is asked for again.'),
    );
  }
  #rooms;
  #empty;
  #end;

  destroy() {
    this.#end();
  }

  /** @param {RoomSummary[]} rooms */
  #show(rooms) {
    setText(this.#empty, rooms.length > 0 ? '' : 'No room is open. Enter a name above to open one.');
    updateList(
      this.#rooms,
      [...rooms].sort((a, b) => b.participants - a.participants || a.name.localeCompare(b.name)),
      (room) => room.name,
      (room) => element('li', {}, roomLink(room.name, 'room-link')),
      updateRoomLink,
    );
  }
}

/**
 * A link to a room, which `updateRoomLink` fills.
 * @param {string} room
 * @param {string} testid
 */
export function roomLink(room, testid) {
  const link = /** @type {HTMLAnchorElement} */ (
    element(
      'a',
      { class: 'room-link', testid },
      element('span', { class: 'room-name', text: room }),
      element('span', { class: 'room-facts' }),
      element('span', { class: 'badge on-air', text: 'On air' }),
      icon('go'),
    )
  );
  link.href = roomPath(room);
  link.dataset['room'] = room;
  return link;
}

/**
 * @param {HTMLElement} item the list's element that holds the link
 * @param {RoomSummary} room
 */
export function updateRoomLink(item, room) {
  setText(find(item, '.room-facts', HTMLElement), inWords(room));
  find(item, '.on-air', HTMLElement).hidden = room.streams === 0;
}
