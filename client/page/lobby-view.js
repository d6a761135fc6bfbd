// The lobby: the open rooms, the user's name, and the form to enter a room.

import { mayInspect } from '../wire/inspector-access.js';
import { roomPath } from '../room/names.js';
import { askDisplayName, askRoomName } from '../room/naming.js';
import { followRooms } from '../room/rooms.js';
import { button, element, find, fromTemplate, icon, part, setText, updateList } from './dom.js';
import { rememberedName, rememberName } from './settings.js';
import { say } from './say.js';
import { describeRoom } from './words.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */

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
      tell(nameInput, answer.fault);
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
      tell(roomInput, answer.fault);
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
    button(this.root, 'lobby-enter').type = 'submit';
    const inspector = part(this.root, 'inspector');
    void mayInspect().then((may) => {
      inspector.hidden = !may;
    });
    this.#end = followRooms(
      (rooms) => this.#show(rooms),
      () => setText(this.#empty, 'The list of rooms cannot be loaded at the moment. The page tries again.'),
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
      element('span', { class: 'badge on-air', text: say('live') }),
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
  setText(find(item, '.room-facts', HTMLElement), describeRoom(room));
  find(item, '.on-air', HTMLElement).hidden = room.streams === 0;
}
