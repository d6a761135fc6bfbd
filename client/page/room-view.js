// The page of a room: its head and tabs, and the views of its parts.

import { ChatView } from './chat-view.js';
import { CONNECTION } from './connection-table.js';
import { ControlsView } from './controls-view.js';
import { button, find, fromTemplate, part, setText } from './dom.js';
import { keepFocus } from './focus.js';
import { JumpView } from './jump-view.js';
import { followKeyboard } from './keyboard.js';
import { Menu, opensMenu } from './menu.js';
import { PeopleView } from './people-view.js';
import { ReactionsView } from './reactions-view.js';
import { takeDrops } from './drops.js';
import { say } from './say.js';
import { Sheets } from './sheets.js';
import { SituationView } from './situation-view.js';
import { StageView } from './stage-view.js';
import { TidingsView } from './tidings-view.js';
import { titleUnseen } from './title.js';

/** @import {Absence} from '../room/absence.js' */
/** @import {Room} from '../room/room.js' */
/** @import {Details} from './details.js' */
/** @import {Choice} from './menu.js' */
/** @import {Notices} from './notices.js' */
/** @import {Action, Does} from './shortcuts.js' */

export class RoomView {
  root = fromTemplate('room-template');
  /** @type {(() => void)[]} */
  #ends = [];

  /**
   * @param {Room} room
   * @param {Notices} notices
   * @param {Absence} absence
   * @param {Details} details
   * @param {{ leave: () => void, menu: (open: (choices: Choice[]) => void) => Choice[] }} page `menu`: what the menu
   *   of the whole page offers; it may open other choices in its place
   */
  constructor(room, notices, absence, details, { leave, menu: choices }) {
    const { root } = this;
    this.#room = room;
    this.#title = part(root, 'title');
    this.#sheets = new Sheets(part(root, 'side'), () => this.#sheetChanged());
    this.#stage = new StageView(root, room, notices, details, () => this.#sheets.cover());
    this.#controls = new ControlsView(root, room, notices);
    this.#chat = new ChatView(root, room, notices, (count) => {
      setText(part(root, 'unread'), count > 0 ? ` ${say('chat.new', { count })}` : '');
      titleUnseen(count);
    });
    this.#people = new PeopleView(root, room, notices, (person) => {
      this.#sheets.open('chat');
      this.#chat.writeTo(person);
    });
    this.#jump = new JumpView(root, room);
    this.#reactions = new ReactionsView(root, room, () => this.#people.turnHand());
    this.#situation = new SituationView(root, room, absence, leave);
    this.#tidings = new TidingsView(root, room);
    button(root, 'leave-room').addEventListener('click', leave);
    const [opener, menu] = [button(root, 'page-menu'), new Menu(find(root, '.room-head', HTMLElement))];
    opensMenu(opener);
    const open = (/** @type {Choice[]} */ offered) => menu.open(opener, say('menu.page'), offered);
    opener.addEventListener('click', () => open(choices(open)));
    button(root, 'skip-to-controls').addEventListener('click', () => this.#controls.focus());
    button(root, 'skip-to-chat').addEventListener('click', () => this.#openChat());
    this.#ends.push(
      room.on('change', (what) => this.#changed(what)),
      room.on('entered', () => this.#entered()),
      room.connection.on('state', () => this.#showConnection()),
      () => this.#sheets.destroy(),
      takeDrops(root, (files) => {
        this.#sheets.open('chat');
        void this.#chat.sendFiles(files);
      }),
      followKeyboard(),
      keepFocus(root),
      () => this.#tidings.destroy(),
      () => this.#stage.destroy(),
      () => this.#controls.destroy(),
      () => this.#chat.destroy(),
      () => this.#jump.destroy(),
      () => this.#reactions.destroy(),
      () => this.#situation.destroy(),
    );
    this.#entered();
  }
  #room;
  #sheets;
  #stage;
  #controls;
  #chat;
  #people;
  #jump;
  #reactions;
  #situation;
  #tidings;
  #title;
  /** The room that is shown. */
  #key = '';
  /** The states of one's own devices, as they were told last. @type {Map<string, string>} */
  #devices = new Map();

  /** What the page's keys do in a room. @type {Partial<Record<Does, Action>>} */
  shortcuts = {
    microphone: () => this.#controls.press('microphone'),
    camera: () => this.#controls.press('camera'),
    screen: () => this.#controls.press('screen'),
    talk: () => this.#controls.talk(),
    hand: () => this.#people.turnHand(),
    chat: () => this.#openChat(),
    people: () => {
      this.#sheets.open('people');
      this.#people.focus();
    },
    layout: () => this.#stage.turnArrangement(),
    full: (at) => this.#stage.fillScreen(at),
  };

  /** Tell which keys press which buttons, because the user has turned the keys on or off. */
  showKeys() {
    this.#controls.update();
  }

  /** What was written and not sent. */
  get draft() {
    return this.#chat.draft;
  }

  set draft(text) {
    this.#chat.draft = text;
  }

  #openChat() {
    this.#sheets.open('chat');
    this.#chat.focus();
  }

  destroy() {
    for (const end of this.#ends) end();
  }

  #entered() {
    this.#tidings.reset();
    this.#arrive();
    this.#chat.reset();
    this.#chat.showPermissions();
    this.#people.update();
    this.#jump.update();
    this.#stage.update();
    this.#controls.update();
    this.#showHead();
    this.#showConnection();
  }

  /** In another room than before, what was used to go there is out of the way. */
  #arrive() {
    const key = this.#room.state?.key ?? '';
    if (key === this.#key) return;
    const jumped = this.#key !== '' && key !== '';
    this.#key = key;
    if (!jumped) return;
    const at = document.activeElement;
    const there = at === document.body || at?.closest('.panel-rooms');
    this.#sheets.close();
    if (there) this.#title.focus();
  }

  /** @param {import('../room/room.js').RoomEvents['change']} what */
  #changed(what) {
    switch (what) {
      case 'people':
        this.#tidings.update();
        this.#people.update();
        this.#reactions.update();
        this.#chat.showPermissions();
        this.#stage.update();
        this.#controls.update();
        break;
      case 'speaking':
        this.#tidings.update();
        this.#people.showSpeakers();
        this.#stage.update();
        break;
      case 'streams':
        this.#tidings.update();
        this.#people.update();
        this.#stage.update();
        this.#showLive();
        this.#controls.update();
        break;
      case 'media':
        this.#stage.update();
        this.#controls.update();
        this.#tellDevices();
        this.#showLive();
        break;
      case 'chat':
        this.#chat.update();
        break;
      case 'room':
        this.#people.update();
        this.#chat.showPermissions();
        this.#showHead();
        break;
      case 'status':
        this.#controls.update();
        this.#stage.update();
        this.#showConnection();
        break;
    }
  }

  #showHead() {
    const { state, wanted } = this.#room;
    const name = state?.name ?? wanted;
    setText(this.#title, name);
    this.#title.title = name;
    this.#showLive();
  }

  /** Whether the room is live is known only while one is in it. */
  #showLive() {
    const { live, mayPresent, state } = this.#room;
    const badge = part(this.root, 'room-state');
    badge.dataset['state'] = mayPresent && state ? state.state : '';
    badge.dataset['live'] = String(live);
    setText(badge, mayPresent && state ? say(live ? 'live' : `room.state.${state.state}`) : '');
  }

  #showConnection() {
    const { status, connection } = this.#room;
    const { [status]: found, else: otherwise } = CONNECTION[connection.state.phase];
    const { state, words, situation } = found ?? otherwise;
    // Whoever waits to be let in is not in the room yet, and sees nothing of it.
    this.root.dataset['situation'] = situation ?? '';
    const shown = part(this.root, 'connection');
    shown.dataset['state'] = state;
    shown.title = say(words);
    setText(shown, say(words));
    this.#situation.update();
    this.#reactions.update();
    this.#showHead();
  }

  /** Whoever has pressed a key and does not look at the toggles hears what has come of it. */
  #tellDevices() {
    for (const what of /** @type {const} */ (['microphone', 'camera', 'screen'])) {
      const { text, hasFocus } = this.#controls.describe(what);
      const before = this.#devices.get(what);
      this.#devices.set(what, text);
      if (before !== undefined && before !== text && !hasFocus) this.#tidings.tell(text);
    }
  }

  /** Another panel is seen, or none. */
  #sheetChanged() {
    this.#stage.look();
    if (this.#sheets.shows('chat')) this.#chat.scrollToEnd();
  }
}
