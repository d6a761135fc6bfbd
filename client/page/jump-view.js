// Links to the other rooms.

import { followRooms } from '../room/rooms.js';
import { element, part, setText, updateList } from './dom.js';
import { roomLink, updateRoomLink } from './lobby-view.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */
/** @import {Room} from '../room/room.js' */

export class JumpView {
  /** @type {RoomSummary[]} */
  #rooms = [];

  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   */
  constructor(root, room) {
    this.#room = room;
    this.#list = part(root, 'jump');
    this.#empty = part(root, 'jump-empty');
    this.#count = part(root, 'rooms-count');
    this.destroy = followRooms(
      (rooms) => {
        this.#rooms = rooms;
        this.update();
      },
      () => setText(this.#empty, 'The list of rooms cannot be loaded at the moment.'),
    );
  }
  #room;
  #list;
  #empty;
  #count;

  update() {
    const here = this.#room.state?.name;
    const others = this.#rooms
      .filter((room) => room.name !== here)
      .sort((a, b) => a.name.localeCompare(b.name));
    updateList(
      this.#list,
      others,
      (room) => room.name,
      (room) => element('li', {}, roomLink(room.name, 'jump-link')),
      updateRoomLink,
    );
    setText(this.#empty, others.length > 0 ? '' : 'No other room is open.');
    setText(this.#count, others.length > 0 ? ` ${others.length}` : '');
  }
}
