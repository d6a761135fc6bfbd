// The list of the people in a room. It shows what each person shares, and whose hand is raised. Each person has one button,
// which opens a menu of what the user may do with that person; another menu is for the whole room.

import { bdi, button, element, find, icon, name, part, setText, updateList } from './dom.js';
import { invite } from './invite.js';
import { lookalikeMark } from './lookalike.js';
import { Menu, opensMenu } from './menu.js';
import { RenameDialog } from './rename-dialog.js';
import { devicesOf, inOrder, matches, needsSearch, placesOf } from './roster.js';
import { say, sayNumber } from './say.js';

/** @import {BanInfo, ParticipantInfo, Source, Waiting} from '../wire/messages.d.ts' */
/** @import {Moderation, Room} from '../room/room.js' */
/** @import {Choice} from './menu.js' */
/** @import {Notices} from './notices.js' */
/** @import {Device} from './roster.js' */

/** What the marks of microphone, camera and screen are called. */
const DEVICES = /** @type {const} */ ({
  mic: 'people.mic',
  'mic-off': 'people.micOff',
  camera: 'people.camera',
  'camera-off': 'people.cameraOff',
  screen: 'people.screen',
});

/** Why somebody cannot be heard. */
const SILENT = /** @type {const} */ ({ audible: 'people.micOff', muted: 'people.muted', held: 'people.held' });

const SECONDS = { 'duration.minutes': 60, 'duration.hours': 3_600 };
/** For how long somebody who waits can be denied. */
const DENIALS = /** @type {const} */ ([
  { id: 'deny-minutes', unit: 'duration.minutes', count: 10 },
  { id: 'deny-hour', unit: 'duration.hours', count: 1 },
  { id: 'deny-day', unit: 'duration.hours', count: 24 },
]);

export class PeopleView {
  /** The person whose menu was opened last. */
  #chosen = '';

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
    this.#none = part(root, 'roster-none');
    this.#invite = button(root, 'invite');
    this.#count = part(root, 'people-count');
    this.#headCount = part(root, 'people-total');
    this.#marks = part(root, 'room-marks');
    this.#search = find(root, '[data-testid="people-search"]', HTMLInputElement);
    this.#waiting = part(root, 'waiting');
    this.#waitingList = part(root, 'waiting-list');
    this.#waitingCount = part(root, 'waiting-count');
    this.#banned = part(root, 'banned');
    this.#bannedList = part(root, 'banned-list');
    this.#admitAll = button(root, 'admit-all');
    this.#hand = button(root, 'raise-hand');
    this.#roomButton = button(root, 'room-menu');
    this.#clearDialog = find(root, '[data-part="clear-dialog"]', HTMLDialogElement);
    this.#closeDialog = find(root, '[data-part="close-dialog"]', HTMLDialogElement);
    this.#rename = new RenameDialog(find(root, '[data-part="rename-dialog"]', HTMLDialogElement), room, notices);
    const panel = find(root, '.panel-people', HTMLElement);
    this.#menu = new Menu(panel);
    this.#roomMenu = new Menu(panel);
    this.#waitingMenu = new Menu(panel);

    this.#invite.addEventListener('click', () => void invite(room.wanted, notices));
    this.#admitAll.addEventListener('click', () => this.#ask({ type: 'admit' }));
    this.#hand.addEventListener('click', () => this.turnHand());
    opensMenu(this.#roomButton);
    this.#roomButton.addEventListener('click', () =>
      this.#roomMenu.open(this.#roomButton, say('people.roomMenu'), this.#roomChoices()),
    );
    this.#askAfter(this.#clearDialog, 'clear', { type: 'clearChat' });
    this.#askAfter(this.#closeDialog, 'close', { type: 'closeRoom' });
    this.#search.addEventListener('input', () => this.#showRoster());
    this.#search.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || this.#search.value === '') return;
      event.preventDefault();
      event.stopPropagation();
      this.#search.value = '';
      this.#showRoster();
    });
  }
  #room;
  #notices;
  #writeTo;
  #list;
  #none;
  #invite;
  #count;
  #headCount;
  #marks;
  #search;
  #waiting;
  #waitingList;
  #waitingCount;
  #banned;
  #bannedList;
  #admitAll;
  #hand;
  #roomButton;
  #clearDialog;
  #closeDialog;
  #rename;
  #menu;
  #roomMenu;
  #waitingMenu;

  update() {
    const { state, moderates } = this.#room;
    this.#hand.hidden = !state;
    if (!state) return;
    const count = state.participants.size;
    const waiting = moderates ? state.waiting : [];
    setText(this.#headCount, sayNumber(count));
    setText(this.#count, waiting.length > 0 ? ` ${say('people.tabWaiting', { people: count, count: waiting.length })}` : ` ${sayNumber(count)}`);
    // Whoever is alone probably wants others to come, and does not know yet that the menu of the page has the link.
    this.#invite.hidden = count > 1;
    this.#search.hidden = !needsSearch(count);
    if (this.#search.hidden) this.#search.value = '';
    setText(this.#hand, say(this.#handIsUp ? 'people.lowerHand' : 'people.raiseHand'));
    this.#hand.dataset['active'] = String(this.#handIsUp);
    this.#roomButton.hidden = !moderates;
    setText(this.#marks, [state.locked ? say('people.locked') : '', state.lobby ? say('people.lobby') : ''].filter(Boolean).join(' · '));
    this.#showRoster();
    this.#showWaiting(waiting);
    this.#showBanned(moderates ? state.bans : []);
    this.#renewMenus();
  }

  #showRoster() {
    const { state, moderates } = this.#room;
    if (!state) return;
    /** @type {Map<string, Source[]>} */
    const sources = new Map();
    for (const { participant, source } of state.streams.values())
      sources.set(participant, [...(sources.get(participant) ?? []), source]);
    const places = placesOf(state.participants.values());
    const people = inOrder(state.participants.values(), { you: state.you, sharing: new Set(sources.keys()) });
    const typed = this.#search.value;
    const found = people.filter((person) => matches(person.name, typed));
    updateList(
      this.#list,
      found,
      (person) => person.id,
      () => element('li', { class: 'roster-entry', testid: 'roster-entry' }),
      (entry, person) =>
        this.#showEntry(entry, person, {
          sources: sources.get(person.id) ?? [],
          place: places.get(person.id) ?? 0,
          own: person.id === state.you,
          moderates,
        }),
    );
    setText(this.#none, found.length > 0 ? '' : say('people.noneFound', { typed }));
    this.showSpeakers();
  }

  /** Mark those who speak. */
  showSpeakers() {
    for (const entry of this.#list.children) {
      if (!(entry instanceof HTMLElement)) continue;
      const speaks = this.#room.state?.speaking.has(entry.dataset['participant'] ?? '') ?? false;
      entry.classList.toggle('speaks', speaks);
      if (speaks) entry.setAttribute('aria-description', say('people.speaks'));
      else entry.removeAttribute('aria-description');
    }
  }

  /** Put the focus on the search, or on the first person if there are few. */
  focus() {
    const first = this.#search.hidden ? this.#list.querySelector('button') : this.#search;
    if (first instanceof HTMLElement) first.focus();
  }

  get #handIsUp() {
    return this.#room.me?.hand !== undefined;
  }

  /** Raise one's hand, or lower it. */
  turnHand() {
    if (this.#room.state) this.#ask({ type: this.#handIsUp ? 'lowerHand' : 'raiseHand' });
  }

  /**
   * @param {HTMLElement} entry
   * @param {ParticipantInfo} person
   * @param {{ sources: Source[], place: number, own: boolean, moderates: boolean }} known
   */
  #showEntry(entry, person, { sources, place, own, moderates }) {
    const { id, away = false, lookalike = false, role = 'presenter', sound = 'audible' } = person;
    const devices = devicesOf(person, sources);
    const shown = JSON.stringify([person.name, away, lookalike, devices, role, place, moderates, sound, own]);
    if (entry.dataset['shown'] === shown) return;
    entry.dataset['shown'] = shown;
    entry.dataset['participant'] = id;
    entry.dataset['away'] = String(away);
    entry.dataset['role'] = role;
    // The button stays, because it may have the focus, and a menu may be open at it.
    const more = entry.querySelector('button') ?? this.#moreButton(entry);
    more.dataset['testid'] = moderates && !own ? 'moderate' : 'person-menu';
    name(more, say(own ? 'people.ownMenu' : 'people.menu', { name: person.name }));
    const marks = [
      bdi(person.name, { class: 'roster-name' }),
      ...(own ? [element('span', { class: 'quiet', text: say('people.you') })] : []),
      ...(lookalike ? [lookalikeMark()] : []),
      ...(role === 'presenter' ? [] : [badge(say(`role.${role}`))]),
      ...(place ? [badge(say('people.hand', { place }), 'hand')] : []),
      ...(away ? [badge(say('people.away'))] : []),
      element('span', { class: 'roster-devices' }, ...devices.map((device) => deviceIcon(device, sound))),
    ];
    for (const child of [...entry.childNodes]) if (child !== more) child.remove();
    more.before(...marks);
  }

  /** @param {HTMLElement} entry */
  #moreButton(entry) {
    const more = element('button', { class: 'tool' }, icon('more'));
    opensMenu(more);
    more.addEventListener('click', () => {
      this.#chosen = entry.dataset['participant'] ?? '';
      this.#menu.open(more, more.title, this.#choices());
    });
    entry.append(more);
    return more;
  }

  /** The choices of an open menu are those of this moment. */
  #renewMenus() {
    if (this.#roomMenu.isOpen) this.#roomMenu.update(this.#roomChoices());
    if (!this.#menu.isOpen) return;
    const choices = this.#choices();
    if (choices.length > 0) this.#menu.update(choices);
    else this.#menu.close();
  }

  /** @returns {Choice[]} what may be done with the chosen person */
  #choices() {
    const { state, moderates } = this.#room;
    const person = state?.participants.get(this.#chosen);
    if (!state || !person) return [];
    const { id: participant, role = 'presenter', sound = 'audible', microphone } = person;
    if (participant === state.you) {
      return [
        { id: 'rename', text: say('people.rename'), icon: 'edit', run: () => this.#rename.open() },
        {
          id: 'own-hand',
          text: say(this.#handIsUp ? 'people.lowerHand' : 'people.raiseHand'),
          icon: 'hand',
          run: () => this.turnHand(),
        },
      ];
    }
    const write = {
      id: 'write-to',
      text: say('people.writeTo', { name: person.name }),
      icon: 'line',
      run: () => this.#writeTo(participant),
    };
    if (!moderates) return [write];
    const sources = [...state.streams.values()]
      .filter((stream) => stream.participant === participant)
      .map((stream) => stream.source);
    const mayBeHeard = sources.length > 0 && microphone !== false;
    /** @type {(Omit<Choice, 'run'> & { offered?: boolean, message: Moderation })[]} */
    const choices = [
      { id: 'lower-hand', text: say('people.lowerTheirHand'), icon: 'hand', offered: person.hand !== undefined, message: { type: 'lowerHand', participant } },
      { id: 'mute', text: say('people.mute'), icon: 'mic-off', line: true, offered: sound === 'audible' && mayBeHeard, message: { type: 'mute', participant } },
      { id: 'keep-muted', text: say('people.keepMuted'), icon: 'mic-off', offered: sound !== 'held', message: { type: 'mute', participant, hold: true } },
      { id: 'let-speak', text: say('people.letSpeak'), icon: 'mic', offered: sound !== 'audible', message: { type: 'unmute', participant } },
      ...sources.map((source) => ({
        id: `end-${source}`,
        text: say(source === 'screen' ? 'people.endScreen' : 'people.endCamera'),
        icon: 'stop',
        message: /** @type {Moderation} */ ({ type: 'endStream', stream: `${participant}.${source}` }),
      })),
      { id: 'make-moderator', text: say('people.makeModerator'), icon: 'people', line: true, offered: role !== 'moderator', message: { type: 'setRole', participant, role: 'moderator' } },
      { id: 'make-presenter', text: say('people.makePresenter'), icon: 'camera', offered: role !== 'presenter', message: { type: 'setRole', participant, role: 'presenter' } },
      { id: 'make-viewer', text: say('people.makeViewer'), icon: 'show', offered: role !== 'viewer', message: { type: 'setRole', participant, role: 'viewer' } },
      { id: 'kick', text: say('people.kick'), icon: 'leave', line: true, danger: true, message: { type: 'kick', participant } },
      { id: 'ban', text: say('people.ban'), icon: 'close', danger: true, message: { type: 'ban', participant } },
    ];
    return [
      write,
      ...choices
        .filter(({ offered = true }) => offered)
        .map(({ message, offered: _, ...choice }) => ({ ...choice, run: () => void this.#ask(message) })),
    ];
  }

  /** @returns {Choice[]} what a moderator may do with the room */
  #roomChoices() {
    const { state, moderates } = this.#room;
    if (!state || !moderates) return [];
    const { locked, lobby } = state;
    const watchOnly = state.newcomers === 'viewer';
    return [
      {
        id: 'lock-room',
        text: say(locked ? 'people.unlockRoom' : 'people.lockRoom'),
        icon: 'lock',
        run: () => void this.#ask({ type: locked ? 'unlock' : 'lock' }),
      },
      {
        id: 'toggle-lobby',
        text: say(lobby ? 'people.lobbyOff' : 'people.lobbyOn'),
        icon: 'people',
        run: () => void this.#ask({ type: 'configure', lobby: !lobby }),
      },
      ...(this.#room.connection.welcome?.limits.fileBytes === undefined
        ? []
        : [
            {
              id: 'toggle-files',
              text: say(state.files ? 'people.filesOff' : 'people.filesOn'),
              icon: 'file',
              run: () => void this.#ask({ type: 'configure', files: !state.files }),
            },
          ]),
      {
        id: 'newcomers-role',
        text: say(watchOnly ? 'people.newcomersShare' : 'people.newcomersWatch'),
        icon: 'show',
        run: () => void this.#ask({ type: 'configure', role: watchOnly ? 'presenter' : 'viewer' }),
      },
      {
        id: 'clear-chat',
        text: say('people.clearChat'),
        icon: 'line',
        line: true,
        danger: true,
        run: () => this.#clearDialog.showModal(),
      },
      {
        id: 'close-room',
        text: say('people.closeRoom'),
        icon: 'close',
        danger: true,
        run: () => this.#closeDialog.showModal(),
      },
    ];
  }

  /** @param {Waiting[]} waiting */
  #showWaiting(waiting) {
    this.#waiting.hidden = waiting.length === 0;
    this.#admitAll.hidden = waiting.length < 2;
    setText(this.#waitingCount, say('people.waiting', { count: waiting.length }));
    updateList(
      this.#waitingList,
      waiting,
      ({ participant }) => participant,
      (person) => {
        const [admit, deny] = [
          element('button', { class: 'small primary', testid: 'admit', text: say('people.admit') }),
          element('button', { class: 'small', testid: 'deny', text: say('people.deny') }),
        ];
        const more = element('button', { class: 'tool', testid: 'deny-more' }, icon('more'));
        name(more, say('people.menu', { name: person.name }));
        opensMenu(more);
        admit.setAttribute('aria-label', say('people.admitName', { name: person.name }));
        deny.setAttribute('aria-label', say('people.denyName', { name: person.name }));
        const { participant } = person;
        admit.addEventListener('click', () => this.#ask({ type: 'admit', participant }));
        deny.addEventListener('click', () => this.#ask({ type: 'deny', participant }));
        more.addEventListener('click', () => this.#waitingMenu.open(more, more.title, this.#denials(participant)));
        return element(
          'li',
          { class: 'waiting-entry', testid: 'waiting-entry' },
          bdi(person.name, { class: 'roster-name' }),
          admit,
          deny,
          more,
        );
      },
      () => {},
    );
  }

  /**
   * The ways to keep somebody who waits out for a while.
   * @param {string} participant
   * @returns {Choice[]}
   */
  #denials(participant) {
    return DENIALS.map(({ id, unit, count }) => ({
      id,
      text: say('people.denyFor', { duration: say(unit, { count }) }),
      icon: 'close',
      danger: true,
      run: () => void this.#ask({ type: 'deny', participant, seconds: count * SECONDS[unit] }),
    }));
  }

  /** @param {BanInfo[]} bans */
  #showBanned(bans) {
    this.#banned.hidden = bans.length === 0;
    updateList(
      this.#bannedList,
      bans,
      ({ participant }) => participant,
      (person) => {
        const back = element('button', { class: 'small', testid: 'unban', text: say('people.unban') });
        back.setAttribute('aria-label', say('people.unbanName', { name: person.name }));
        back.addEventListener('click', () => this.#ask({ type: 'unban', participant: person.participant }));
        return element('li', { class: 'waiting-entry' }, bdi(person.name, { class: 'roster-name' }), back);
      },
      () => {},
    );
  }

  /**
   * What cannot be undone is done only after a question.
   * @param {HTMLDialogElement} dialog
   * @param {string} yes the value of the button that agrees
   * @param {Moderation} message
   */
  #askAfter(dialog, yes, message) {
    dialog.addEventListener('close', () => {
      if (dialog.returnValue === yes) void this.#ask(message);
      dialog.returnValue = '';
    });
  }

  /** @param {Moderation} message */
  async #ask(message) {
    try {
      await this.#room.moderate(message);
      this.#notices.takeBack('moderation');
    } catch (error) {
      this.#notices.showFailure(say('people.notDone'), error, 'moderation');
    }
  }
}

/**
 * @param {string} text
 * @param {string} [testid]
 */
function badge(text, testid) {
  return element('span', { class: 'badge', text, ...(testid ? { testid } : {}) });
}

/**
 * @param {Device} device
 * @param {keyof typeof SILENT} sound
 */
function deviceIcon(device, sound) {
  const made = icon(device, say(device === 'mic-off' ? (SILENT[sound] ?? SILENT.muted) : DEVICES[device]));
  made.classList.toggle('off', device === 'mic-off' || device === 'camera-off');
  return made;
}
