// The start of the inspector. It shows the view for each address.

import { BASE } from './wire/base.js';
import { roomOfPath } from './room/names.js';
import { askRoomName } from './room/naming.js';
import { find, fromTemplate, part, setText } from './page/dom.js';
import { cannotBeARoom } from './page/words.js';
import { RoomInspector } from './inspect/room.js';
import { RoomsInspector } from './inspect/rooms.js';

const page = find(document, '#page', HTMLElement);
const name = roomOfPath(location.pathname, `${BASE}/inspect/`) || null;
const fault = name === null ? undefined : await faultOf(name);
page.replaceChildren(view());
if (name !== null && fault === undefined) document.title = `${name} · inspector · roomfsm`;

/**
 * @param {string} room
 * @returns {Promise<string | undefined>} why there can be no such room, in words
 */
async function faultOf(room) {
  const answer = await askRoomName(room);
  if (answer.name === room.normalize()) return undefined;
  return cannotBeARoom(room, answer.fault ?? `A room name like it would be “${answer.name}”.`);
}

function view() {
  if (name === null) return new RoomsInspector().root;
  if (fault === undefined) return new RoomInspector(name).root;
  const root = fromTemplate('no-room-template');
  setText(part(root, 'fault'), fault);
  return root;
}
