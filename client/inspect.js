// The inspector's start: which address shows what.

import { find } from './dom.js';
import { RoomInspector } from './inspect-room.js';
import { RoomsInspector } from './inspect-rooms.js';

const page = find(document, '#page', HTMLElement);
const name = inspected(location.pathname);
const view = name === null ? new RoomsInspector() : new RoomInspector(name);
page.replaceChildren(view.root);
if (name !== null) document.title = `${name} · inspector · roomfsm`;

/**
 * @param {string} path
 * @returns {string | null} the room's name; null: all rooms
 */
function inspected(path) {
  const [, , part] = path.split('/');
  return part ? decodeURIComponent(part) : null;
}
