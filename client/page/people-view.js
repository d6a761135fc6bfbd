// The list of people shows who is present, who is away and who presents. It has the field for one's own name.

import { askDisplayName } from '../room/naming.js';
import { button, element, find, icon, part, setText, updateList } from './dom.js';
import { lookalikeMark } from './lookalike.js';
import { rememberName } from './settings.js';

/** @import {ParticipantInfo, Source, StreamInfo, Waiting} from '../wire/messages.d.ts' */
/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

export class PeopleView {
  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Notices} notices
   * @param {(participant: string) => void} writeTo begin a private line to somebody
   */
  constructor(root, room, notices, writeTo) {
    this.#room = room;
    this.#notices = notices;
    this.#writeTo = writeTo;
    this.#list = part(root, 'roster');
    this.#count = part(root, 'people-count');
    this.#input = find(root, '[data-testid="rename-input"]', HTMLInputElement);
    find(root, 'form.rename', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#rename();
    });
    this.#waiting = part(root, 'waiting');
    this.#waitingList = part(root, 'waiting-list');
    this.#waitingCount = part(root, 'waiting-count');
    this.#admitAll = button(root, 'admit-all');
    this.#admitAll.addEventListener('click', () => this.#ask({ type: 'admit' }));
    this.#lobby = button(root, 'toggle-lobby');
    this.#lobby.addEventListener('click', () => this.#ask({ type: 'configure', lobby: !room.state?.lobby }));
    this.#hand = button(root, 'raise-hand');
    this.#lock = button(root, 'lock-room');
    this.#clear = button(root, 'clear-chat');
    this.#hand.addEventListener('click', () =>
      this.#ask({ type: room.me?.hand === undefined ? 'raiseHand' : 'lowerHand' }),
    );
    this.#lock.addEventListener('click', () => this.#ask({ type: room.state?.locked ? 'unlock' : 'lock' }));
    this.#clear.addEventListener('click', () => this.#ask({ type: 'clearChat' }));
    this.#close = button(root, 'close-room');
    const dialog = find(root, '[data-part="close-dialog"]', HTMLDialogElement);
    this.#close.addEventListener('click', () => dialog.showModal());
    dialog.addEventListener('close', () => {
      if (dialog.returnValue === 'close') this.#ask({ type: 'closeRoom' });
      dialog.returnValue = '';
    });
    // If the field is left without changing the name, it shows the present name.
    this.#input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#input.value = this.#shownName;
    });
  }
  #room;
  #notices;
  #list;
  #count;
  #input;
  #waiting;
  #waitingList;
  #waitingCount;
  #admitAll;
  #lobby;
  #hand;
  #lock;
  #clear;
  #close;
  #writeTo;
  #shownName = '';

  update() {
    const { state } = this.#room;
    if (!state) return;
    const streams = [...state.streams.values()];
    updateList(
      this.#list,
      [...state.participants.values()],
      (participant) => participant.id,
      () => element('li', { class: 'roster-entry', testid: 'roster-entry' }),
      (entry, participant) => this.#showEntry(entry, participant, state.you, streams),
    );
    this.#hand.setAttribute('aria-pressed', String(this.#room.me?.hand !== undefined));
    setText(this.#hand, this.#room.me?.hand === undefined ? 'Raise hand' : 'Lower hand');
    this.#lock.hidden = !this.#room.moderates;
    this.#lock.setAttribute('aria-pressed', String(state.locked));
    setText(this.#lock, state.locked ? 'Unlock the room' : 'Lock the room');
    this.#clear.hidden = this.#close.hidden = !this.#room.moderates;
    this.showSpeakers();
    this.#lobby.hidden = !this.#room.moderates;
    this.#lobby.setAttribute('aria-pressed', String(state.lobby));
    setText(this.#lobby, state.lobby ? 'Turn the lobby off' : 'Turn the lobby on');
    const waiting = this.#room.moderates ? state.waiting : [];
    this.#showWaiting(waiting);
    setText(this.#count, ` ${state.participants.size}${waiting.length > 0 ? `, ${waiting.length} waiting` : ''}`);
    const own = state.nameOf(state.you);
    if (this.#input.value === this.#shownName) this.#input.value = own;
    this.#shownName = own;
  }

  /** Mark those who speak. */
  showSpeakers() {
    for (const entry of this.#list.children) {
      if (!(entry instanceof HTMLElement)) continue;
      const speaks = this.#room.state?.speaking.has(entry.dataset['participant'] ?? '') ?? false;
      entry.classList.toggle('speaks', speaks);
      if (speaks) entry.setAttribute('aria-description', 'speaks');
      else entry.removeAttribute('aria-description');
    }
  }

  /** @param {Waiting[]} waiting */
  #showWaiting(waiting) {
    this.#waiting.hidden = waiting.length === 0;
    this.#admitAll.hidden = waiting.length < 2;
    setText(this.#waitingCount, waiting.length === 1 ? '1 person waits to enter' : `${waiting.length} people wait to enter`);
    updateList(
      this.#waitingList,
      waiting,
      ({ participant }) => participant,
      ({ participant, name }) => {
        const entry = element('li', { class: 'waiting-entry', testid: 'waiting-entry' });
        const [admit, deny] = [
          element('button', { class: 'small primary', testid: 'admit', text: 'Admit' }),
          element('button', { class: 'small', testid: 'deny', text: 'Deny' }),
        ];
        admit.setAttribute('aria-label', `Admit ${name}`);
        deny.setAttribute('aria-label', `Deny ${name}`);
        admit.addEventListener('click', () => this.#ask({ type: 'admit', participant }));
        deny.addEventListener('click', () => this.#ask({ type: 'deny', participant }));
        entry.replaceChildren(element('span', { class: 'roster-name', text: name }), admit, deny);
        return entry;
      },
      () => {},
    );
  }

  /** @param {Parameters<Room['moderate']>[0]} message */
  async #ask(message) {
    try {
      await this.#room.moderate(message);
      this.#notices.takeBack('moderation');
    } catch (error) {
      this.#notices.showFailure('That was not done.', error, 'moderation');
    }
  }

  /**
   * @param {HTMLElement} entry
   * @param {ParticipantInfo} person
   * @param {string} you
   * @param {StreamInfo[]} streams
   */
  #showEntry(entry, person, you, streams) {
    const { id, name, away = false, lookalike = false, role = 'presenter', hand, sound = 'audible' } = person;
    const sources = streams.filter((stream) => stream.participant === id).map((stream) => stream.source);
    const moderates = this.#room.moderates && id !== you;
    const place = hand === undefined ? 0 : this.#placeOf(hand);
    const silent = sound !== 'audible' || (sources.includes('camera') && person.microphone === false);
    const shown = JSON.stringify([name, away, lookalike, sources, role, place, moderates, silent, sound]);
    if (entry.dataset['shown'] === shown) return;
    entry.dataset['shown'] = shown;
    entry.dataset['participant'] = id;
    entry.dataset['away'] = String(away);
    entry.dataset['role'] = role;
    const menuWasOpen = entry.querySelector('.moderate[open]') !== null;
    entry.replaceChildren(
      element('span', { class: 'roster-name', text: name }),
      ...(id === you ? [element('span', { class: 'quiet', text: 'you' })] : []),
      ...(lookalike ? [lookalikeMark()] : []),
      ...(ROLES[role] ? [element('span', { class: 'badge', text: ROLES[role] })] : []),
      ...(place ? [element('span', { class: 'badge', testid: 'hand', text: `hand ${place}` })] : []),
      ...(away ? [element('span', { class: 'badge', text: 'away' })] : []),
      ...sources.map((source) => icon(source, source === 'screen' ? 'shares the screen' : 'presents')),
      ...(silent ? [icon('mic-off', MUTED[sound])] : []),
      ...(id === you ? [] : [this.#writeButton(id, name)]),
      ...(moderates ? [this.#menu(person, place > 0, sources)] : []),
    );
    // Somebody who is just choosing goes on with the choices as they are now.
    if (menuWasOpen) entry.querySelector('.moderate')?.setAttribute('open', '');
  }

  /**
   * The place of a raised hand in the queue, counted from 1.
   * @param {number} hand
   */
  #placeOf(hand) {
    const people = [...(this.#room.state?.participants.values() ?? [])];
    return people.filter((person) => person.hand !== undefined && person.hand <= hand).length;
  }

  /**
   * @param {string} participant
   * @param {string} name
   */
  #writeButton(participant, name) {
    const write = element('button', { class: 'tool', testid: 'write-to' }, icon('line'));
    write.title = `Write to ${name} in private`;
    write.setAttribute('aria-label', write.title);
    write.addEventListener('click', () => this.#writeTo(participant));
    return write;
  }

  /**
   * What a moderator may do with a person.
   * @param {ParticipantInfo} person
   * @param {boolean} handIsUp
   * @param {Source[]} sources the person's streams
   */
  #menu({ id: participant, name, role = 'presenter', sound = 'audible', microphone }, handIsUp, sources) {
    const summary = element('summary', { text: '⋯' });
    summary.setAttribute('aria-label', `Moderate ${name}`);
    /** @type {[string, string, Parameters<Room['moderate']>[0]][]} */
    const choices = [
      .../** @type {typeof choices} */ (
        sources.map((source) => [
          `end-${source}`,
          source === 'screen' ? 'End screen' : 'End camera',
          { type: 'endStream', stream: `${participant}.${source}` },
        ])
      ),
      ['mute', 'Mute', { type: 'mute', participant }],
      ['keep-muted', 'Keep muted', { type: 'mute', participant, hold: true }],
      ['let-speak', 'Let speak', { type: 'unmute', participant }],
      ['lower-hand', 'Lower hand', { type: 'lowerHand', participant }],
      ['make-moderator', 'Make moderator', { type: 'setRole', participant, role: 'moderator' }],
      ['make-presenter', 'Let present', { type: 'setRole', participant, role: 'presenter' }],
      ['make-viewer', 'Only watch', { type: 'setRole', participant, role: 'viewer' }],
      ['kick', 'Remove', { type: 'kick', participant }],
      ['ban', 'Ban', { type: 'ban', participant }],
    ];
    const without = new Set([
      `make-${role}`,
      ...(handIsUp ? [] : ['lower-hand']),
      ...(sound === 'audible' ? ['let-speak'] : ['mute']),
      ...(sound === 'held' ? ['keep-muted'] : []),
      ...(sources.length > 0 && microphone !== false ? [] : ['mute']),
    ]);
    const buttons = choices
      .filter(([id]) => !without.has(id))
      .map(([testid, text, message]) => {
        const choice = element('button', { class: 'small', testid, text });
        choice.addEventListener('click', () => {
          menu.removeAttribute('open');
          void this.#ask(message);
        });
        return choice;
      });
    const menu = element('details', { class: 'moderate', testid: 'moderate' }, summary, element('div', {}, ...buttons));
    menu.addEventListener('toggle', () => menu.scrollIntoView({ block: 'nearest' }));
    return menu;
  }

  async #rename() {
    const { name, fault } = await askDisplayName(this.#input.value);
    if (name === undefined) {
      this.#notices.show({ text: fault, kind: 'error', topic: 'rename' });
      return;
    }
    this.#notices.takeBack('rename');
    if (name === this.#shownName) return;
    try {
      await this.#room.rename(name);
      rememberName(name);
      this.#input.value = name;
      this.#shownName = name;
    } catch (error) {
      this.#notices.showFailure('Your name was not changed.', error, 'rename');
    }
  }
}

/** What the roster says of somebody who cannot be heard. */
const MUTED = { audible: 'microphone off', muted: 'muted by a moderator', held: 'kept muted by a moderator' };

/** What the roster calls a role. A presenter is what people are if nothing else is said. */
const ROLES = { moderator: 'moderator', presenter: '', viewer: 'viewer' };
