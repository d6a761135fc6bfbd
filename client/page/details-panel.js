// The technical details: for each stream that is sent or received its picture, codecs, path and the last minute in
// numbers and plots, and all of it as text for a report about a fault. Nothing is measured while the panel is closed.

import { ratesOf, readingOf, UNKNOWN } from '../media/readings.js';
import { FILES } from '../wire/base.js';
import { CONNECTION } from './connection-table.js';
import { textOf } from './details-text.js';
import { element, icon, name, setText, updateList } from './dom.js';
import { Plot } from './plot.js';
import { say, sayDate } from './say.js';

/** @import {MediaLink} from '../media/link.js' */
/** @import {Path, Rates, Reading} from '../media/readings.js' */
/** @import {Record} from '../room/record.js' */
/** @import {Room} from '../room/room.js' */
/** @import {Plain} from './say.js' */

/** Milliseconds between two readings, and how many are shown. */
const READ_EVERY = 1_000;
const SHOWN = 60;
/** The entries of the record that are shown. The copied text has all. */
const ENTRIES = 30;

/**
 * `key`: of the stream, with its direction. `text`: what it is called in a report, without anybody's name.
 * @typedef {{ key: string, title: string, text: string, link: MediaLink }} Shown
 */

/**
 * The plots: what is plotted, how its value is told, and the least value that fits into the height.
 * @type {{ name: Plain, of: (rates: Rates) => number | null, told: (value: number) => string, least: number }[]}
 */
const PLOTS = [
  {
    name: 'details.frames',
    of: ({ frames }) => frames,
    told: (value) => say('details.perSecond', { value: Math.round(value) }),
    least: 30,
  },
  { name: 'details.pictureRate', of: ({ picture }) => picture, told: bits, least: 100_000 },
  { name: 'details.soundRate', of: ({ sound }) => sound, told: bits, least: 40_000 },
  {
    name: 'details.loss',
    of: ({ loss }) => loss,
    told: (value) => say('details.percent', { value: Math.round(value * 1000) / 10 }),
    least: 0.05,
  },
  {
    name: 'details.roundTrip',
    of: ({ roundTrip }) => roundTrip,
    told: (value) => say('details.milliseconds', { value: Math.round(value * 1000) }),
    least: 0.1,
  },
];

/** @param {number} value bit/s */
function bits(value) {
  return say('details.kilobits', { value: Math.round(value / 1000) });
}

/**
 * Show the panel, until it is closed.
 * @param {Room} room
 * @param {Record} record
 * @returns {Promise<void>}
 */
export async function showDetails(room, record) {
  await styled();
  return new Promise((resolve) => new Panel(room, record, resolve));
}

/** Load the panel's style sheet once, so that nobody sees the panel without it. */
async function styled() {
  const href = `${FILES}page/details.css`;
  if (document.querySelector(`link[href="${href}"]`)) return;
  const link = Object.assign(document.createElement('link'), { rel: 'stylesheet', href });
  await new Promise((resolve) => {
    for (const event of ['load', 'error']) link.addEventListener(event, resolve, { once: true });
    document.head.append(link);
  });
}

class Panel {
  /** @type {Map<string, { peer: object | null, last: Reading | null, minute: Rates[] }>} */
  #measured = new Map();
  /** @type {Map<string, Card>} */
  #cards = new Map();
  #ends;
  #room;
  #record;
  #dialog = element('dialog', { class: 'dialog details', testid: 'details' });
  #about = element('dl', { class: 'details-facts' });
  #list = element('div', { class: 'details-streams' });
  #hint = element('p', { class: 'quiet details-hint' });
  #entries = element('ol', { class: 'details-record', testid: 'details-record' });
  #told = element('p', { class: 'quiet' });

  /**
   * @param {Room} room
   * @param {Record} record
   * @param {() => void} closed
   */
  constructor(room, record, closed) {
    this.#room = room;
    this.#record = record;
    this.#build();
    document.body.append(this.#dialog);
    if (this.#dialog instanceof HTMLDialogElement) this.#dialog.showModal();
    const timer = setInterval(() => void this.#measure(), READ_EVERY);
    this.#ends = [() => clearInterval(timer), room.on('moved', () => this.#close())];
    this.#dialog.addEventListener('close', () => {
      for (const end of this.#ends) end();
      this.#dialog.remove();
      closed();
    });
    void this.#measure();
  }

  #build() {
    const title = element('h2', { text: say('details.title') });
    title.id = 'details-title';
    this.#dialog.setAttribute('aria-labelledby', title.id);
    const close = element('button', { class: 'tool', testid: 'details-close' }, icon('close'));
    name(close, say('details.close'));
    close.addEventListener('click', () => this.#close());
    const copy = element('button', { class: 'primary', testid: 'details-copy', text: say('details.copy') });
    copy.addEventListener('click', () => void this.#copy());
    this.#told.setAttribute('role', 'status');
    const seen = element('details', {}, element('summary', { text: say('details.record') }), this.#entries);
    // It scrolls, so it must be reachable without a mouse.
    const body = element('div', { class: 'details-body' }, this.#about, this.#hint, this.#list, seen);
    body.tabIndex = 0;
    body.setAttribute('role', 'group');
    body.setAttribute('aria-labelledby', title.id);
    this.#dialog.append(
      element('div', { class: 'details-head' }, title, close),
      body,
      element('div', { class: 'details-foot' }, this.#told, copy),
    );
  }

  #close() {
    if (this.#dialog instanceof HTMLDialogElement) this.#dialog.close();
  }

  /** @returns {Shown[]} */
  #shown() {
    const { presenting, watching, state } = this.#room;
    return [
      ...[...presenting.publications.values()].map((link) => ({
        key: `sent.${link.source}`,
        title: say(link.source === 'screen' ? 'details.ownScreen' : 'details.ownCamera'),
        text: `sending ${link.source}`,
        link,
      })),
      ...[...watching.views].flatMap(([id, link]) => {
        const stream = state?.streams.get(id);
        if (!stream) return [];
        const person = state?.nameOf(stream.participant) ?? '';
        return {
          key: id,
          title: say(stream.source === 'screen' ? 'details.screen' : 'details.camera', { name: person }),
          text: `receiving ${id}`,
          link,
        };
      }),
    ];
  }

  async #measure() {
    const shown = this.#shown();
    await Promise.all(shown.map((one) => this.#read(one)));
    const keys = new Set(shown.map(({ key }) => key));
    for (const key of this.#measured.keys()) if (!keys.has(key)) this.#measured.delete(key);
    this.#update(shown);
  }

  /** @param {Shown} shown */
  async #read({ key, link: { peer } }) {
    const before = this.#measured.get(key);
    const measured = before?.peer === peer ? before : { peer, last: null, minute: before?.minute ?? [] };
    this.#measured.set(key, measured);
    const reading = peer ? readingOf(await peer.stats(), Date.now()) : null;
    measured.minute.push(reading ? ratesOf(measured.last ?? reading, reading) : UNKNOWN);
    measured.minute.splice(0, measured.minute.length - SHOWN);
    measured.last = reading;
  }

  /** @param {Shown[]} shown */
  #update(shown) {
    const { connection, status } = this.#room;
    const { [status]: found, else: otherwise } = CONNECTION[connection.state.phase];
    facts(this.#about, [
      ['details.connection', say((found ?? otherwise).words)],
      ['details.server', connection.welcome?.server ?? '–'],
      ['details.session', this.#room.state?.you ?? connection.welcome?.session ?? '–'],
    ]);
    setText(this.#hint, say(shown.length > 0 ? 'details.minute' : 'details.none'));
    updateList(
      this.#list,
      shown,
      ({ key }) => key,
      ({ key }) => {
        const card = new Card();
        this.#cards.set(key, card);
        return card.root;
      },
      (_, { key, title, link }) => this.#cards.get(key)?.update(title, link.state, this.#measured.get(key)?.minute ?? []),
    );
    const entries = this.#record.entries.slice(-ENTRIES).reverse();
    this.#entries.replaceChildren(
      ...entries.map(({ at, what }) =>
        element('li', {}, element('time', { text: sayDate(at, { timeStyle: 'medium' }) }), ` ${what}`),
      ),
    );
  }

  #text() {
    const { connection, status, state } = this.#room;
    return textOf({
      at: new Date(),
      browser: navigator.userAgent,
      server: connection.welcome?.server ?? '-',
      session: state?.you ?? connection.welcome?.session ?? '-',
      connection: connection.state.phase,
      room: status,
      streams: this.#shown().map(({ key, text, link }) => ({
        title: text,
        state: link.state,
        minute: this.#measured.get(key)?.minute ?? [],
      })),
      record: this.#record.entries,
    });
  }

  async #copy() {
    const text = this.#text();
    try {
      await navigator.clipboard.writeText(text);
      setText(this.#told, say('details.copied'));
    } catch {
      // The page may not, or this is no secure context. The user can.
      const area = element('textarea', { class: 'details-text', testid: 'details-text' });
      if (!(area instanceof HTMLTextAreaElement)) return;
      Object.assign(area, { readOnly: true, value: text, rows: 6 });
      area.setAttribute('aria-label', say('details.copy'));
      this.#dialog.querySelector('.details-text')?.remove();
      this.#dialog.querySelector('.details-foot')?.before(area);
      area.focus();
      area.select();
      setText(this.#told, say('details.notCopied'));
    }
  }
}

/** What is shown of one stream. */
class Card {
  #title = element('h3');
  #state = element('span', { class: 'details-state' });
  #facts = element('dl', { class: 'details-facts' });
  #plots = PLOTS.map(({ name, least }) => {
    const plot = new Plot(least);
    const value = element('strong');
    const root = element('div', { class: 'details-plot' }, element('span', { text: say(name) }), value, plot.root);
    return { root, plot, value };
  });

  constructor() {
    this.root = element(
      'section',
      { class: 'details-stream', testid: 'details-stream' },
      element('div', { class: 'details-stream-head' }, this.#title, this.#state),
      this.#facts,
      element('div', { class: 'details-plots' }, ...this.#plots.map(({ root }) => root)),
    );
  }

  /**
   * @param {string} title
   * @param {import('../media/link.js').LinkState} state
   * @param {Rates[]} minute
   */
  update(title, state, minute) {
    setText(this.#title, title);
    this.#state.dataset['state'] = state;
    setText(this.#state, say(`details.state.${state}`));
    const now = minute.at(-1) ?? UNKNOWN;
    facts(this.#facts, [
      ['details.picture', now.size ? say('details.size', now.size) : '–'],
      ['details.codecs', now.codecs.join(', ') || '–'],
      ['details.path', now.path ? pathWords(now.path) : '–'],
    ]);
    for (const [index, { of, told }] of PLOTS.entries()) {
      const shown = this.#plots[index];
      if (!shown) continue;
      const values = minute.map(of);
      const value = values.at(-1) ?? null;
      // A stream without a picture has no frames to plot.
      shown.root.hidden = values.every((value) => value === null);
      setText(shown.value, value === null ? '–' : told(value));
      shown.plot.show(values);
    }
  }
}

/** @param {Path} path */
function pathWords({ transport, relay }) {
  return relay === null ? say(`details.path.${transport}`) : say(`details.path.relay.${relay}`);
}

/**
 * @param {HTMLElement} list
 * @param {[Plain, string][]} rows
 */
function facts(list, rows) {
  updateList(
    list,
    rows,
    ([name]) => name,
    ([name]) => element('div', {}, element('dt', { text: say(name) }), element('dd')),
    (row, [, value]) => setText(row.lastElementChild ?? row, value),
  );
}
