// The view of one room: the diagrams of its machines, its people, streams and views, and its journal. It is kept
// up to date.

import { BASE } from '../wire/base.js';
import { roomPath } from '../room/names.js';
import { element, find, fromTemplate, part, setText, updateList } from '../page/dom.js';
import { Administrator } from './administrator.js';
import { Diagram } from './diagram.js';
import { follow } from './feed.js';
import { Journal } from './journal.js';
import { duration, size } from './words.js';

/** @import {Entry, LegSeen, MachineName, MachineSeen, Move, PageMachineName, RoomSeen, Update} from './inspection.d.ts' */

/** @type {Record<MachineName, string>} */
const TABS = { room: 'Room', stream: 'Streams', view: 'Views', relay: 'Relays', session: 'Sessions' };

/** The tables that each page uses in its browser. @type {Record<PageMachineName, string>} */
const PAGE_MACHINES = { page: 'Being in a room', link: 'The connection', media: 'The way of one stream' };

export class RoomInspector {
  root = fromTemplate('room-template');
  /** @type {RoomSeen | null} */
  #seen = null;
  #seenAt = 0;
  #run = '';
  #lastSeq = 0;
  #over = false;
  /** Names by participant, including those who have left. @type {Map<string, string>} */
  #names = new Map();
  /** @type {Record<MachineName, Diagram>} */
  #diagrams = {
    room: new Diagram('room'),
    stream: new Diagram('stream'),
    view: new Diagram('view'),
    relay: new Diagram('relay'),
    session: new Diagram('session'),
  };
  /** @type {MachineName} */
  #machine = 'room';

  /** @param {string} name */
  constructor(name) {
    const [path, state] = [encodeURIComponent(name), part(this.root, 'feed-state')];
    setText(part(this.root, 'name'), name);
    part(this.root, 'enter').setAttribute('href', roomPath(name));
    part(this.root, 'download').setAttribute('href', `${BASE}/inspect/api/rooms/${path}/journal`);
    this.#journal = new Journal(this.root, (who) => this.#names.get(who) ?? who);
    this.#administrator = new Administrator(this.root, name);
    this.#tabs = part(this.root, 'tabs');
    this.#makeTabs();
    this.#choose('room');
    part(this.root, 'page-machines').append(...pageMachines());
    follow(
      `${BASE}/inspect/api/rooms/${path}/feed`,
      /** @param {Update} update */ (update) => this.#show(update),
      (words) => setText(state, words),
    );
    setInterval(() => this.#tick(), 1000);
  }
  #administrator;
  #journal;
  #tabs;

  /** @param {Update} update */
  #show({ room, over, journal }) {
    const badge = part(this.root, 'state');
    const state = room === null ? 'not open' : over ? 'ended' : room.glance.state;
    badge.dataset['state'] = state;
    setText(badge, state);
    this.root.dataset['open'] = String(!over);
    part(this.root, 'download').hidden = over;
    this.#seen = room;
    this.#seenAt = performance.now();
    this.#over = over;
    if (room === null) return;
    if (room.glance.run !== this.#run) {
      this.#run = room.glance.run;
      this.#lastSeq = 0;
      this.#journal.clear();
    }
    // A feed that was opened again begins with entries that were sent before.
    journal = journal.filter(({ seq }) => seq > this.#lastSeq);
    this.#lastSeq = journal.at(-1)?.seq ?? this.#lastSeq;
    this.#remember(room, journal);
    this.#journal.add(journal);
    for (const [machine, diagram] of machines(this.#diagrams)) {
      diagram.show(over ? ended(room.machines[machine]) : room.machines[machine]);
      diagram.fire(journal.filter((entry) => entry.machine === machine));
    }
    this.#draw();
  }

  /**
   * @param {RoomSeen} room
   * @param {Entry[]} journal
   */
  #remember(room, journal) {
    for (const { who, message } of journal) {
      const name = message?.['name'];
      if (who !== undefined && typeof name === 'string') this.#names.set(who, name);
    }
    for (const { id, name } of room.people) this.#names.set(id, name);
  }

  #tick() {
    if (this.#over) return;
    for (const [, diagram] of machines(this.#diagrams)) diagram.tick();
    this.#draw();
  }

  #draw() {
    const room = this.#seen;
    if (!room) return;
    const later = this.#over ? 0 : (performance.now() - this.#seenAt) / 1000;
    this.#drawFacts(room, later);
    updateList(
      part(this.root, 'people'),
      room.people,
      ({ id }) => id,
      ({ id }) => this.#person(id),
      (item, person) => {
        const waits = person.outboxMessages > 0 ? ` · ${size(person.outboxBytes)} wait for it` : '';
        describe(item, person.name, person.state, `${duration(person.since + later)}${waits}`);
      },
    );
    for (const kind of /** @type {const} */ (['streams', 'views']))
      updateList(part(this.root, kind), room[kind], ({ id }) => id, individual, (item, leg) =>
        describe(item, this.#nameLeg(leg), leg.state, this.#describeLeg(leg, later)),
      );
    part(this.root, 'relays-section').hidden = room.relays.length === 0;
    updateList(
      part(this.root, 'relays'),
      room.relays,
      ({ id }) => id,
      individual,
      (item, { stream, state, since, above, below }) =>
        describe(item, this.#nameStream(stream), state, `${duration(since + later)} · ${above} → ${below}`),
    );
    this.#drawStates(this.#over ? ended(room.machines[this.#machine]) : room.machines[this.#machine], later);
    this.#drawMoves(room.machines[this.#machine].moves);
  }

  /**
   * @param {RoomSeen} room
   * @param {number} later seconds since it was told
   */
  #drawFacts({ glance, legalInside, legalOutside }, later) {
    const [inside, outside] = this.#over ? [[], []] : [legalInside, legalOutside];
    setText(part(this.root, 'legal-inside'), inside.join(' ') || 'nothing: nobody is in the room');
    setText(part(this.root, 'legal-outside'), outside.join(' ') || 'nothing');
    const facts = {
      Age: duration(glance.age + later),
      People: glance.away > 0 ? `${glance.people} (${glance.away} away)` : String(glance.people),
      Streams: String(glance.streams),
      Views: String(glance.views),
      'Media server': glance.mediaServer ?? '–',
      Inbox: String(glance.inbox),
      Outboxes: glance.outboxMessages === 0 ? '0' : `${glance.outboxMessages} (${size(glance.outboxBytes)})`,
      'Journal entries': String(glance.steps),
    };
    updateList(
      part(this.root, 'facts'),
      Object.entries(facts),
      ([name]) => name,
      ([name]) => element('div', {}, element('dt', { text: name }), element('dd')),
      (item, [, words]) => setText(find(item, 'dd', HTMLElement), words),
    );
  }

  /**
   * The content of the diagram as a text, for people who cannot see it.
   * @param {MachineSeen} seen
   * @param {number} later seconds since it was told
   */
  #drawStates({ present, visits, dwelt }, later) {
    updateList(
      part(this.root, 'states'),
      Object.keys(visits),
      (state) => state,
      (state) => {
        const head = element('th', { text: state });
        head.setAttribute('scope', 'row');
        return element('tr', {}, head, element('td'), element('td'), element('td'));
      },
      (row, state) => {
        const now = present[state] ?? 0;
        const cells = [now, visits[state] ?? 0, duration((dwelt[state] ?? 0) + now * later)];
        cells.forEach((words, index) => setText(/** @type {Element} */ (row.children[index + 1]), String(words)));
      },
    );
  }

  /** @param {Move[]} moves */
  #drawMoves(moves) {
    updateList(
      part(this.root, 'moves'),
      moves,
      ({ trigger, source, dest }) => `${trigger} ${source} ${dest}`,
      ({ trigger, source, dest }) =>
        element(
          'tr',
          {},
          element('td', { text: trigger }),
          element('td', { text: source === dest ? source : `${source} → ${dest}` }),
          element('td'),
        ),
      (row, { count }) => setText(/** @type {Element} */ (row.lastElementChild), String(count)),
    );
  }

  /**
   * A person with the button that puts the person out. It is hidden unless an administrator looks.
   * @param {string} id
   */
  #person(id) {
    const item = individual();
    const out = element('button', { class: 'put-out', text: 'Put out', testid: 'put-out' });
    out.addEventListener('click', () => this.#administrator.kick(id, this.#names.get(id) ?? id));
    item.append(out);
    return item;
  }

  /** @param {LegSeen} leg */
  #nameLeg({ participant, stream }) {
    const named = this.#nameStream(stream);
    const own = stream.split('.')[0] === participant;
    return own ? named : `${this.#names.get(participant) ?? participant} views ${named}`;
  }

  /** @param {string} stream */
  #nameStream(stream) {
    const [owner = '', source = ''] = stream.split('.');
    return `${this.#names.get(owner) ?? owner}’s ${source}`;
  }

  /**
   * @param {LegSeen} leg
   * @param {number} later
   */
  #describeLeg({ id, since, viewers }, later) {
    const watched = viewers === undefined ? '' : ` · ${viewers} watching`;
    return `${duration(since + later)}${watched} · generation ${id.split('#')[1] ?? '1'}`;
  }

  #makeTabs() {
    for (const [machine, label] of /** @type {[MachineName, string][]} */ (Object.entries(TABS))) {
      const tab = element('button', { text: label, testid: `tab-${machine}` });
      tab.setAttribute('role', 'tab');
      tab.setAttribute('aria-controls', 'diagram');
      tab.dataset['machine'] = machine;
      tab.addEventListener('click', () => this.#choose(machine));
      this.#tabs.append(tab);
    }
    // As in the ARIA Authoring Practices, arrow keys move from tab to tab, and the Tab key moves into the panel.
    this.#tabs.addEventListener('keydown', (event) => {
      const names = /** @type {MachineName[]} */ (Object.keys(TABS));
      const at = names.indexOf(this.#machine);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
      const next = to === undefined ? undefined : names.at(to % names.length);
      if (!next) return;
      event.preventDefault();
      this.#choose(next, true);
    });
  }

  /**
   * @param {MachineName} machine
   * @param {boolean} [focus]
   */
  #choose(machine, focus = false) {
    this.#machine = machine;
    for (const tab of this.#tabs.children) {
      if (!(tab instanceof HTMLButtonElement)) continue;
      const chosen = tab.dataset['machine'] === machine;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen && focus) tab.focus();
    }
    const panel = part(this.root, 'diagram');
    panel.setAttribute('aria-label', `${TABS[machine]}: diagram`);
    panel.replaceChildren(this.#diagrams[machine].root);
    for (const table of ['states', 'moves']) part(this.root, table).replaceChildren();
    this.#draw();
  }
}

/**
 * @param {Record<MachineName, Diagram>} diagrams
 * @returns {[MachineName, Diagram][]}
 */
function machines(diagrams) {
  return /** @type {[MachineName, Diagram][]} */ (Object.entries(diagrams));
}

/** @returns {HTMLElement[]} a diagram of each of the page's machines, which is loaded when it is first opened */
function pageMachines() {
  return /** @type {[PageMachineName, string][]} */ (Object.entries(PAGE_MACHINES)).map(([machine, words]) => {
    const shown = element('details', { class: 'card', testid: `page-machine-${machine}` }, element('summary', { text: words }));
    shown.addEventListener('toggle', () => shown.append(new Diagram(machine).root), { once: true });
    return shown;
  });
}

/**
 * A machine that no longer exists.
 * @param {MachineSeen} seen
 * @returns {MachineSeen}
 */
function ended(seen) {
  return { ...seen, present: {} };
}

function individual() {
  return element(
    'li',
    {},
    element('span', { class: 'who' }),
    element('span', { class: 'badge' }),
    element('small'),
  );
}

/**
 * @param {HTMLElement} item
 * @param {string} who
 * @param {string} state
 * @param {string} more
 */
function describe(item, who, state, more) {
  const badge = find(item, '.badge', HTMLElement);
  setText(find(item, '.who', HTMLElement), who);
  setText(badge, state);
  badge.dataset['state'] = state;
  setText(find(item, 'small', HTMLElement), more);
}
