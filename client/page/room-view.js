// The page of a room: its head and tabs, and the views of its parts.

import { ChatView } from './chat-view.js';
import { CONNECTION } from './connection-table.js';
import { ControlsView } from './controls-view.js';
import { button, fromTemplate, part, setText } from './dom.js';
import { JumpView } from './jump-view.js';
import { followKeyboard } from './keyboard.js';
import { PeopleView } from './people-view.js';
import { ReactionsView } from './reactions-view.js';
import { say } from './say.js';
import { Sheets } from './sheets.js';
import { SituationView } from './situation-view.js';
import { StageView } from './stage-view.js';
import { titleUnseen } from './title.js';

/** @import {Absence} from '../room/absence.js' */
/** @import {Room} from '../room/room.js' */
/** @import {Details} from './details.js' */
/** @import {Notices} from './notices.js' */

export class RoomView {
  root = fromTemplate('room-template');
  /** @type {(() => void)[]} */
  #ends = [];

  /**
   * @param {Room} room
   * @param {Notices} notices
   * @param {Absence} absence
   * @param {Details} details
   * @param {() => void} leave
   */
  constructor(room, notices, absence, details, leave) {
    const { root } = this;
    this.#room = room;
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
    this.#reactions = new ReactionsView(root, room);
    this.#situation = new SituationView(root, room, absence, leave);
    button(root, 'leave-room').addEventListener('click', leave);
    this.#ends.push(
      room.on('change', (what) => this.#changed(what)),
      room.on('entered', () => this.#entered()),
      room.connection.on('state', () => this.#showConnection()),
      () => this.#sheets.destroy(),
      followKeyboard(),
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

  destroy() {
    for (const end of this.#ends) end();
  }

  #entered() {
    this.#chat.reset();
    this.#chat.showPermissions();
    this.#people.update();
    this.#jump.update();
    this.#stage.update();
    this.#controls.update();
    this.#showHead();
    this.#showConnection();
    this.#suggestChat();
  }

  /** @param {import('../room/room.js').RoomEvents['change']} what */
  #changed(what) {
    switch (what) {
      case 'people':
        this.#people.update();
        this.#chat.showPermissions();
        this.#stage.update();
        this.#controls.update();
        break;
      case 'speaking':
        this.#people.showSpeakers();
        this.#stage.update();
        break;
      case 'streams':
        this.#people.update();
        this.#stage.update();
        this.#suggestChat();
        this.#showLive();
        this.#controls.update();
        break;
      case 'media':
        this.#stage.update();
        this.#controls.update();
        this.#suggestChat();
        this.#showLive();
        break;
      case 'chat':
        this.#chat.update();
        break;
      case 'room':
        this.#people.update();
        this.#showHead();
        break;
      case 'status':
        this.#controls.update();
        this.#stage.update();
        this.#showConnection();
        this.#suggestChat();
        break;
    }
  }

  #showHead() {
    const { state, wanted } = this.#room;
    const title = part(this.root, 'title');
    const name = state?.name ?? wanted;
    setText(title, name);
    title.title = name;
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
    const { state, words } = found ?? otherwise;
    const shown = part(this.root, 'connection');
    shown.dataset['state'] = state;
    shown.title = words;
    setText(shown, words);
    this.#situation.update();
    this.#reactions.update();
    this.#showHead();
  }

  /** While one is in the room and there are no pictures, the chat need not be out of the way. */
  #suggestChat() {
    const { mayPresent, state, presenting } = this.#room;
    const pictures = (state?.streams.size ?? 0) > 0 || presenting.publications.size > 0;
    this.#sheets.suggest('chat', mayPresent && !pictures);
  }

  /** Another panel is seen, or none. */
  #sheetChanged() {
    this.#stage.look();
    if (this.#sheets.shows('chat')) this.#chat.scrollToEnd();
  }
}
