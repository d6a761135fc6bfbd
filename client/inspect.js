// The inspector's start: which address shows what.

import { find, fromTemplate, part, setText } from './dom.js';
import { RoomInspector } from './inspect-room.js';
import { RoomsInspector } from './inspect-rooms.js';
import { roomFault, roomOfPath } from './names.js';

const page = find(document, '#page', HTMLElement);
const name = roomOfPath(location.pathname, '/inspect/') || null;
const fault = name === null ? null : roomFault(name);
page.replaceChildren(view());
if (name !== null && fault === null) document.title = `${name} · inspector · roomfsm`;

function view() {
  if (name === null) return new RoomsInspector().root;
  if (fault === null) return new RoomInspector(name).root;
  const root = fromTemplate('no-room-template');
  setText(part(root, 'fault'), fault);
  return root;
}
