// All rooms in a table, and the server's machine, which are kept up to date.

import { BASE } from '../wire/base.js';
import { element, fromTemplate, part, setText, updateList } from '../page/dom.js';
import { follow } from './feed.js';
import { showServer } from './server.js';
import { duration, size } from './words.js';

/** @import {Glance} from './inspection.d.ts' */

export class RoomsInspector {
  root = fromTemplate('rooms-template');
  /** @type {Glance[]} */
  #rooms = [];
  #toldAt = performance.now();

  constructor() {
    this.#rows = part(this.root, 'rooms');
    const none = part(this.root, 'none');
    const state = part(this.root, 'feed-state');
    follow(
      `${BASE}/inspect/api/feed`,
      /** @param {Glance[]} rooms */ (rooms) => {
        this.#rooms = rooms;
        this.#toldAt = performance.now();
        setText(none, rooms.length === 0 ? 'No room is open.' : '');
        this.#draw();
      },
      (words) => setText(state, words),
    );
    showServer(this.root);
    setInterval(() => this.#draw(), 1000);
  }
  #rows;

  #draw() {
    const later = (performance.now() - this.#toldAt) / 1000;
    updateList(
      this.#rows,
      this.#rooms,
      ({ run }) => run,
      ({ name }) => row(name),
      (shown, room) => {
        const cells = [
          room.state,
          room.away > 0 ? `${room.people} (${room.away} away)` : String(room.people),
          String(room.streams),
          String(room.views),
          room.mediaServer ?? '–',
          duration(room.age + later),
          String(room.inbox),
          room.outboxMessages === 0 ? '0' : `${room.outboxMessages} (${size(room.outboxBytes)})`,
        ];
        cells.forEach((words, index) => {
          const cell = shown.children[index + 1];
          if (cell) setText(cell.firstElementChild ?? cell, words);
        });
        const badge = shown.querySelector('.badge');
        if (badge instanceof HTMLElement) badge.dataset['state'] = room.state;
      },
    );
  }
}

const LABELS = ['State', 'People', 'Streams', 'Views', 'Media server', 'Age', 'Inbox', 'Outbox'];

/** @param {string} name */
function row(name) {
  const link = element('a', { text: name, testid: 'room-row' });
  link.setAttribute('href', `${BASE}/inspect/${encodeURIComponent(name)}`);
  const head = element('th', {}, link);
  head.setAttribute('scope', 'row');
  const cells = LABELS.map((label, index) => {
    const cell = element('td', {}, ...(index === 0 ? [element('span', { class: 'badge' })] : []));
    cell.dataset['label'] = label;
    return cell;
  });
  return element('tr', {}, head, ...cells);
}
