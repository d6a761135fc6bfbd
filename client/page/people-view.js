// The list of people shows who is present, who is away and who presents. It has the field for one's own name.

import { askDisplayName } from '../room/naming.js';
import { element, find, icon, part, setText, updateList } from './dom.js';
import { lookalikeMark } from './lookalike.js';
import { rememberName } from './settings.js';

/** @import {ParticipantInfo, StreamInfo} from '../wire/messages.d.ts' */
/** @import {Room} from '../room/room.js' */
/** @import {Notices} from './notices.js' */

export class PeopleView {
  /**
   * @param {HTMLElement} root of the room's page
   * @param {Room} room
   * @param {Notices} notices
   */
  constructor(root, room, notices) {
    this.#room = room;
    this.#notices = notices;
    this.#list = part(root, 'roster');
    this.#count = part(root, 'people-count');
    this.#input = find(root, '[data-testid="rename-input"]', HTMLInputElement);
    find(root, 'form.rename', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#rename();
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
      (entry, participant) => showEntry(entry, participant, state.you, streams),
    );
    setText(this.#count, ` ${state.participants.size}`);
    const own = state.nameOf(state.you);
    if (this.#input.value === this.#shownName) this.#input.value = own;
    this.#shownName = own;
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

/**
 * @param {HTMLElement} entry
 * @param {ParticipantInfo} participant
 * @param {string} you
 * @param {StreamInfo[]} streams
 */
function showEntry(entry, { id, name, away = false, lookalike = false }, you, streams) {
  const sources = streams.filter((stream) => stream.participant === id).map((stream) => stream.source);
  const shown = JSON.stringify([name, away, lookalike, sources]);
  if (entry.dataset['shown'] === shown) return;
  entry.dataset['shown'] = shown;
  entry.dataset['participant'] = id;
  entry.dataset['away'] = String(away);
  entry.replaceChildren(
    element('span', { class: 'roster-name', text: name }),
    ...(id === you ? [element('span', { class: 'quiet', text: 'you' })] : []),
    ...(lookalike ? [lookalikeMark()] : []),
    ...(away ? [element('span', { class: 'badge', text: 'away' })] : []),
    ...sources.map((source) => icon(source, source === 'screen' ? 'shares the screen' : 'presents')),
  );
}
