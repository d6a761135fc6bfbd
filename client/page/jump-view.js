// Links to the other rooms, beside the room, and whether camera and microphone go along.

import { followRooms } from '../room/rooms.js';
import { element, find, part, setText, updateList } from './dom.js';
import { roomLink, updateRoomLink } from './room-link.js';
import { inOrder } from './room-order.js';
import { say, sayNumber } from './say.js';
import { rememberAlong } from './settings.js';
import { visitedRooms } from './visited.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */
/** @import {Room} from '../room/room.js' */

export class JumpView {
  /** @type {RoomSummary[]} */
  #rooms = [];
  #known = true;

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   */
  constructor(root, room) {
    this.#room = room;
    this.#list = part(root, 'jump');
    this.#empty = part(root, 'jump-empty');
    this.#count = part(root, 'rooms-count');
    this.#along = find(root, '[data-testid="take-along"]', HTMLInputElement);
    this.#along.addEventListener('change', () => {
      room.takesAlong = this.#along.checked;
      rememberAlong(room.takesAlong);
    });
    this.destroy = followRooms(
      (rooms) => this.#show(rooms, true),
      // What was live may not be live any more.
      () => this.#show(this.#rooms.map((room) => ({ ...room, streams: 0 })), false),
    );
  }
  #room;
  #list;
  #empty;
  #count;
  #along;

  /**
   * @param {RoomSummary[]} rooms
   * @param {boolean} known whether the server has just told them
   */
  #show(rooms, known) {
    this.#rooms = rooms;
    this.#known = known;
    this.update();
  }

  update() {
    this.#along.checked = this.#room.takesAlong;
    const others = inOrder(this.#rooms, { visited: visitedRooms(), here: this.#room.state?.name ?? this.#room.wanted }).filter(({ open }) => open);
    updateList(
      this.#list,
      others,
      (room) => room.name,
      (room) => element('li', {}, roomLink(room.name, 'jump-link')),
      updateRoomLink,
    );
    setText(this.#empty, this.#known ? (others.length > 0 ? '' : say('rooms.noOther')) : say('rooms.unknown'));
    setText(this.#count, others.length > 0 ? ` ${sayNumber(others.length)}` : '');
  }
}
