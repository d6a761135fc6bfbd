// A link to a room, with what is going on there.

import { roomPath } from '../room/names.js';
import { bdi, element, find, icon, setText } from './dom.js';
import { say } from './say.js';
import { describeRoom } from './words.js';

/** @import {Choice} from './room-order.js' */

/**
 * `updateRoomLink` fills it.
 * @param {string} room
 * @param {string} testid
 */
export function roomLink(room, testid) {
  const link = /** @type {HTMLAnchorElement} */ (
    element(
      'a',
      { class: 'room-link', testid },
      bdi(room, { class: 'room-name' }),
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
 * @param {Choice} room
 */
export function updateRoomLink(item, room) {
  setText(find(item, '.room-facts', HTMLElement), room.open ? describeRoom(room) : say('room.notOpen'));
  find(item, '.on-air', HTMLElement).hidden = room.streams === 0;
}
