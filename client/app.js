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
import { invite } from './page/invite.js';
import { fillLanguageField, languageNames } from './page/language-field.js';
import { beginIn, currentLanguage, languageOf, LANGUAGES, useLanguage } from './page/languages.js';
import { LeaveGuard } from './page/leave-guard.js';
import { StartView } from './page/start-view.js';
import { Navigation } from './page/navigation.js';
import { Notices } from './page/notices.js';
import { PasswordDialog } from './page/password-dialog.js';
import { RoomView } from './page/room-view.js';
import { useSpeaker } from './page/loudspeaker.js';
import { say } from './page/say.js';
import {
  hasName,
  rememberedChoices,
  rememberedEntry,
  rememberedLanguage,
  rememberedName,
  rememberLanguage,
  remembersAlong,
  remembersShortcuts,
} from './page/settings.js';
import { ShortcutsDialog } from './page/shortcuts-dialog.js';
import { Shortcuts } from './page/shortcuts.js';
import { Switcher } from './page/switcher.js';
import { tellTheFrame } from './page/frame.js';
import { titleRoom } from './page/title.js';
import { rememberRoom } from './page/visited.js';
import { cannotBeARoom, inWords } from './page/words.js';

/** @import {Code} from './page/languages.js' */
/** @import {Choice} from './page/menu.js' */

// English needs nothing more.
await beginIn(languageOf(rememberedLanguage(), navigator.languages), () => sayAnew());
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
const shortcutsDialog = new ShortcutsDialog(find(document, '#shortcuts-dialog', HTMLDialogElement), () => {
  if (view instanceof RoomView) view.showKeys();
});
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

/** @type {StartView | EnterView | RoomView | null} */
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
    show(new StartView((entered) => void navigation.goTo(roomPath(entered))));
    titleRoom('');
    if (!found) notices.show({ text: say('page.notFound'), kind: 'error', topic: 'address' });
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
    show(newRoomView());
  }
}

function newRoomView() {
  return new RoomView(room, notices, absence, details, { leave: () => void navigation.goTo(`${BASE}/`), menu: pageChoices });
}

/**
 * What the menu of the page offers in a room.
 * @param {(choices: Choice[]) => void} open
 * @returns {Choice[]}
 */
function pageChoices(open) {
  const languages = languageNames().map(([code, name]) => ({
    id: `language-${code}`,
    text: name,
    checked: code === currentLanguage(),
    run: () => void changeLanguage(code),
  }));
  return [
    { id: 'copy-link', text: say('menu.copyLink'), icon: 'link', run: () => void invite(room.wanted, notices) },
    { id: 'show-shortcuts', text: say('menu.shortcuts'), icon: 'keyboard', run: () => shortcutsDialog.show() },
    {
      id: 'choose-language',
      text: say('menu.language', { language: LANGUAGES[currentLanguage()].name }),
      icon: 'language',
      run: () => open(languages),
    },
    {
      id: 'page-details',
      text: say('details.title'),
      icon: 'details',
      line: true,
      run: () => void details.show(),
    },
  ];
}

/** @param {Code} code */
async function changeLanguage(code) {
  rememberLanguage(code);
  try {
    await useLanguage(code);
  } catch (error) {
    console.debug('the language could not be loaded', error);
    notices.show({ text: say('language.notLoaded'), kind: 'error', topic: 'language' });
    return;
  }
  sayAnew();
  if (view instanceof RoomView) find(view.root, '[data-testid="page-menu"]', HTMLElement).focus();
}

/** Say all that is shown in the language that the page speaks by now. */
function sayAnew() {
  fillIn(document);
  notices.clear();
  titleRoom(roomOfPath(location.pathname) ?? '');
  if (!(view instanceof RoomView)) {
    view?.update();
    return;
  }
  // The lines of the chat and all else say their texts once, so the view is made anew. What is sent and received goes on.
  const next = newRoomView();
  next.draft = view.draft;
  show(next);
}

/** @param {StartView | EnterView | RoomView} next */
function show(next) {
  const first = view === null;
  view?.destroy();
  view = next;
  page.replaceChildren(next.root);
  if (!(next instanceof RoomView)) fillLanguageField(next.root, (code) => void changeLanguage(code));
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
room.on('ended', () => notices.clear());
// The address gets the room's own spelling of its name or, if another room could not be entered, the name of the
// present room.
room.on('entered', ({ name }) => {
  const asked = roomOfPath(location.pathname);
  if (asked !== null && asked !== name) navigation.replace(roomPath(name));
  titleRoom(name);
  rememberRoom(name);
});

// The address has a name that cannot be a room's. The start page has a field for another name.
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
  const link = event.target instanceof Element ? event.target.closest('a[data-room], a[data-start]') : null;
  if (!(link instanceof HTMLAnchorElement)) return;
  event.preventDefault();
  void navigation.goTo(link.pathname);
});
document.addEventListener('click', (event) => {
  if (event.target instanceof Element && event.target.closest('[data-switcher]')) switcher.open();
});
new Shortcuts(
  () => ({
    ...(view instanceof RoomView ? view.shortcuts : {}),
    rooms: () => switcher.open(),
    help: () => shortcutsDialog.show(),
  }),
  remembersShortcuts,
);
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
