// The start of the page. It shows the view for each address, and changes from one to another without a reload.

import { connect } from './roomfsm.js';
import { BASE } from './wire/base.js';
import { Absence, PRESENCE } from './room/absence.js';
import { Credentials, tabStorage } from './room/credentials.js';
import { isPage, roomOfPath, roomPath } from './room/names.js';
import { Record } from './room/record.js';
import { Details } from './page/details.js';
import { EnterView } from './page/enter-view.js';
import { mustAsk, Tab } from './page/entry.js';
import { fillIn, find } from './page/dom.js';
import { LeaveGuard } from './page/leave-guard.js';
import { LobbyView } from './page/lobby-view.js';
import { Navigation } from './page/navigation.js';
import { Notices } from './page/notices.js';
import { PasswordDialog } from './page/password-dialog.js';
import { RoomView } from './page/room-view.js';
import { useSpeaker } from './page/loudspeaker.js';
import { hasName, rememberedChoices, rememberedEntry, rememberedName, remembersAlong } from './page/settings.js';
import { Switcher } from './page/switcher.js';
import { tellTheFrame } from './page/frame.js';
import { titleRoom } from './page/title.js';
import { rememberRoom } from './page/visited.js';
import { cannotBeARoom, inWords } from './page/words.js';

fillIn(document);
const page = find(document, '#page', HTMLElement);
const notices = new Notices(find(document, '#notices', HTMLElement));
const credentials = new Credentials(tabStorage());
const client = connect(location.origin + BASE, { credentials });
const { connection, room } = client;
const absence = new Absence(room, connection);
const details = new Details(room, new Record(room, connection), notices);
room.takesAlong = remembersAlong();
room.presenting.choose(rememberedChoices());
useSpeaker(room.presenting.choices.speaker);
const tab = new Tab(tabStorage());
const passwordDialog = new PasswordDialog(find(document, '#password-dialog', HTMLDialogElement));
const guard = new LeaveGuard(find(document, '#leave-dialog', HTMLDialogElement), room);
// The token of a link must be taken before anything changes the address, and nobody must see it there.
takeToken();
const navigation = new Navigation({
  route,
  ends: (path) => guard.ends(path),
  ask: () => guard.ask(),
});

const switcher = new Switcher(
  find(document, '#switcher', HTMLDialogElement),
  () => room.state?.name ?? room.wanted,
  (name) => void navigation.goTo(roomPath(name)),
);

// If the page was opened at the server itself and not through the proxy, the addresses of rooms must still be
// those that others can open.
if (location.pathname !== BASE && !location.pathname.startsWith(`${BASE}/`)) {
  history.replaceState(history.state, '', BASE + location.pathname + location.search + location.hash);
}

/** @type {LobbyView | EnterView | RoomView | null} */
let view = null;
/** Whether the page is being closed. What is turned off then was not turned off by the user. */
let closing = false;

/** Take the token out of the address, and keep it for the room. */
function takeToken() {
  const name = roomOfPath(location.pathname);
  if (name === null || !credentials.takeFrom(name, location.hash)) return;
  history.replaceState(history.state, '', location.pathname + location.search);
}

/** Show what the address names. */
function route() {
  passwordDialog.dismiss();
  const found = isPage(location.pathname);
  if (!found) navigation.replace(`${BASE}/`);
  const name = roomOfPath(location.pathname);
  if (name === null) {
    room.leave();
    show(new LobbyView((entered) => void navigation.goTo(roomPath(entered))));
    titleRoom('');
    if (!found) notices.show({ text: 'There is no page at this address.', kind: 'error', topic: 'address' });
    return;
  }
  titleRoom(name);
  if (mustAsk({ entered: tab.entered, ask: rememberedEntry()?.ask ?? null, named: hasName() })) {
    show(new EnterView(name, room.presenting, () => enter(name)));
    return;
  }
  // After a reload, what was on goes on.
  const on = tab.onIn(name);
  if (on.microphone) room.presenting.devices.microphone.turnOn();
  if (on.camera) room.presenting.devices.camera.turnOn();
  enter(name);
}

/** @param {string} name */
function enter(name) {
  room.enter(name, rememberedName());
  if (!(view instanceof RoomView)) {
    show(new RoomView(room, notices, absence, details, () => void navigation.goTo(`${BASE}/`)));
  }
}

/** @param {LobbyView | EnterView | RoomView} next */
function show(next) {
  const first = view === null;
  view?.destroy();
  view = next;
  page.replaceChildren(next.root);
  // The element that had the focus is gone. People who use the keyboard or a screen reader continue at the head of
  // the new view.
  if (!first) find(next.root, 'h1', HTMLElement).focus();
}

// Why the user is not in the room is told in the room's view, for as long as that is so.
room.on('news', (news) => {
  if (news.topic !== PRESENCE) notices.show({ ...news, text: inWords(news) });
});
room.on('change', (what) => {
  if (closing || !room.state || (what !== 'media' && what !== 'status')) return;
  const { camera, microphone } = room.presenting.devices;
  tab.remember(room.state.name, { camera: camera.wanted, microphone: microphone.wanted });
});
room.on('solved', (topic) => notices.takeBack(topic));
room.on('moved', () => notices.clear());
// The address gets the room's own spelling of its name or, if another room could not be entered, the name of the
// present room.
room.on('entered', ({ name }) => {
  const asked = roomOfPath(location.pathname);
  if (asked !== null && asked !== name) navigation.replace(roomPath(name));
  titleRoom(name);
  rememberRoom(name);
});

// The address has a name that cannot be a room's. The lobby has a field for another name.
room.on('misnamed', ({ name, fault }) => {
  navigation.replace(`${BASE}/`);
  route();
  notices.show({ text: cannotBeARoom(name, fault), kind: 'error', topic: 'address' });
});

room.on('passwordAsked', ({ room: name, wrong }) =>
  passwordDialog.ask(name, wrong, (password) => {
    credentials.setPassword(name, password);
    room.enter(name, rememberedName());
  }),
);
// A link with a token to the room in which the page already is changes only the fragment.
addEventListener('hashchange', () => {
  if (!location.hash.includes('token=')) return;
  takeToken();
  route();
});

document.addEventListener('click', (event) => {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a[data-room], a[data-lobby]') : null;
  if (!(link instanceof HTMLAnchorElement)) return;
  event.preventDefault();
  void navigation.goTo(link.pathname);
});
document.addEventListener('click', (event) => {
  if (event.target instanceof Element && event.target.closest('[data-switcher]')) switcher.open();
});
document.addEventListener('keydown', (event) => {
  if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
  event.preventDefault();
  // A question that waits for its answer is not covered.
  if (!document.querySelector('dialog[open]')) switcher.open();
});
addEventListener('online', () => connection.online());
// A user who closes the page leaves at once, instead of being "away" until the end of the resume window.
addEventListener('pagehide', () => {
  closing = true;
  room.leave();
  room.presenting.leave();
});
addEventListener('pageshow', (event) => {
  closing = false;
  if (event.persisted) route();
});

// This is for developers at the browser's console, and for tests that read statistics of the peer connections.
Object.assign(window, {
  roomfsm: { room, connection, peerConnections: () => room.peerConnections() },
});

tellTheFrame(client, { leave: () => void navigation.goTo(`${BASE}/`) });
route();
