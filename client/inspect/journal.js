// The end of the journal as a table, with the newest entry at the bottom. It scrolls with new entries while its
// end is visible.

import { element, find, part } from '../page/dom.js';
import { FollowEnd } from '../page/follow-end.js';
import { details, outcome, stopwatch } from './words.js';

/** @import {Entry} from './inspection.d.ts' */

/** The most rows that are shown. The server keeps more, which can be downloaded. */
const KEPT = 500;

export class Journal {
  /** @type {(who: string) => string} */
  #nameOf;
  #rows;
  #follow;
  #onlyRefusals;
  #find;

  /**
   * @param {ParentNode} root
   * @param {(who: string) => string} nameOf the name of a participant
   */
  constructor(root, nameOf) {
    this.#nameOf = nameOf;
    this.#rows = part(root, 'entries');
    this.#onlyRefusals = find(root, '[data-part="refusals"]', HTMLInputElement);
    this.#find = find(root, '[data-part="find"]', HTMLInputElement);
    this.#follow = new FollowEnd(part(root, 'journal'));
    for (const control of [this.#onlyRefusals, this.#find])
      control.addEventListener('input', () => this.#filter(this.#rows.children));
  }

  clear() {
    this.#rows.replaceChildren();
  }

  /** @param {Entry[]} entries */
  add(entries) {
    if (entries.length === 0) return;
    const rows = entries.map((entry) => this.#row(entry));
    this.#rows.append(...rows);
    while (this.#rows.children.length > KEPT) this.#rows.firstElementChild?.remove();
    this.#filter(rows);
    this.#follow.grown();
  }

  /** @param {Entry} entry */
  #row(entry) {
    const { machine, id, who, trigger, source, dest, refused } = entry;
    const name = who === undefined ? '' : this.#nameOf(who);
    const which = id === undefined ? machine : `${machine} ${this.#short(id)}`;
    const more = this.#short(details(entry));
    const row = element(
      'tr',
      { class: refused ? 'refused' : '' },
      element('td', { class: 'at', text: stopwatch(entry.at) }),
      element('td', { text: which }),
      element(
        'td',
        {},
        element('strong', { text: trigger }),
        name === '' ? '' : ` ${name}`,
        more === '' ? '' : element('small', { text: more }),
      ),
      element('td', { class: 'states', text: source === dest ? source : `${source} → ${dest}` }),
      element('td', {}, outcome(entry), refused ? element('small', { text: refused.detail }) : ''),
    );
    row.dataset['machine'] = machine;
    row.dataset['trigger'] = trigger;
    return row;
  }

  /**
   * Show participants by their names.
   * @param {string} text with ids
   */
  #short(text) {
    return text.replace(/p[0-9a-f]{16}/g, (who) => this.#nameOf(who));
  }

  /** @param {Iterable<Element>} rows */
  #filter(rows) {
    const wanted = this.#find.value.trim().toLowerCase();
    for (const row of rows)
      if (row instanceof HTMLElement)
        row.hidden =
          (this.#onlyRefusals.checked && !row.classList.contains('refused')) ||
          !(row.textContent ?? '').toLowerCase().includes(wanted);
  }
}
