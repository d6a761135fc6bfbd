// The page's start: which address shows what, going from one to another without a reload.

import { BASE } from './wire/base.js';
import { Connection } from './wire/connection.js';
import { isPage, roomOfPath, roomPath } from './room/names.js';
import { Room } from './room/room.js';
import { find } from './page/dom.js';
import { LeaveGuard } from './page/leave-guard.js';
import { LobbyView } from './page/lobby-view.js';
import { Navigation } from './page/navigation.js';
import { Notices } from './page/notices.js';
import { RoomView } from './page/room-view.js';
import { rememberedName } from './page/settings.js';
import { cannotBeARoom, inWords } from './page/words.js';

const page = find(document, '#page', HTMLElement);
const notices = new Notices(find(document, '#notices', HTMLElement));
const connection = new Connection(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${BASE}/ws`);
const room = new Room(connection);
const guard = new LeaveGuard(find(document, '#leave-dialog', HTMLDialogElement), room);
const navigation = new Navigation({
  route,
  ends: (path) => guard.onAir && roomOfPath(path) !== room.state?.name,
  ask: () => guard.ask(),
});

// Opened at the server itself, past the proxy: the addresses of rooms are those that others can open, too.
if (location.pathname !== BASE && !location.pathname.startsWith(`${BASE}/`)) {
  history.replaceState(history.state, '', BASE + location.pathname + location.search + location.hash);
}

/** @type {LobbyView | RoomView | null} */
let view = null;

/** Show what the address names. */
function route() {
  const found = isPage(location.pathname);
  if (!found) navigation.replace(`${BASE}/`);
  const name = roomOfPath(location.pathname);
  if (name === null) {
    room.leave();
    show(new LobbyView((entered) => void navigation.goTo(roomPath(entered))));
    document.title = 'roomfsm';
    if (!found) notices.show({ text: 'There is no page at this address.', kind: 'error', topic: 'address' });
    return;
  }
  document.title = `${name} · roomfsm`;
  room.enter(name, rememberedName());
  if (!(view instanceof RoomView)) {
    show(new RoomView(room, notices, () => void navigation.goTo(`${BASE}/`)));
  }
}

/** @param {LobbyView | RoomView} next */
function show(next) {
  const first = view === null;
  view?.destroy();
  view = next;
  page.replaceChildren(next.root);
  // What had the focus is gone; who uses the keyboard or a screen reader goes on from the head of the new view.
  if (!first) find(next.root, 'h1', HTMLElement).focus();
}

room.on('news', (news) => notices.show({ ...news, text: inWords(news) }));
room.on('solved', (topic) => notices.takeBack(topic));
room.on('moved', () => notices.clear());
// The room's own spelling of its name; or, where another could not be entered, the room where one still is.
room.on('entered', ({ name }) => {
  const asked = roomOfPath(location.pathname);
  if (asked !== null && asked !== name) navigation.replace(roomPath(name));
  document.title = `${name} · roomfsm`;
});

// The address names what can be no room: the lobby has a field for a better one.
room.on('misnamed', ({ name, fault }) => {
  navigation.replace(`${BASE}/`);
  route();
  notices.show({ text: cannotBeARoom(name, fault), kind: 'error', topic: 'address' });
});

document.addEventListener('click', (event) => {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a[data-room]') : null;
  if (!(link instanceof HTMLAnchorElement)) return;
  event.preventDefault();
  void navigation.goTo(link.pathname);
});
addEventListener('online', () => connection.retryNow());
// Who closes the page is gone at once, instead of "away" until the resume window is over.
addEventListener('pagehide', () => room.leave());
addEventListener('pageshow', (event) => {
  if (event.persisted) route();
});

// For curious developers at the browser's console, and for tests that read statistics of the peer connections.
Object.assign(window, {
  roomfsm: { room, connection, peerConnections: () => room.peerConnections() },
});

route();
