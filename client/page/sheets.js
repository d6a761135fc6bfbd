// The panels beside the stage: people, chat and other rooms. On a small screen they are sheets that lie over the
// stage, one at a time, and a row of tabs opens and closes them. Which screens are small, room-small.css says as well.

import { element, find, icon, name } from './dom.js';
import { say } from './say.js';

const SMALL = '(max-width: 52rem), (max-height: 30rem)';

export class Sheets {
  #small = matchMedia(SMALL);
  #ended = new AbortController();

  /**
   * @param {HTMLElement} side
   * @param {() => void} changed called when another panel is seen, or none, and when a sheet has come to its place
   */
  constructor(side, changed) {
    this.#side = side;
    this.#changed = changed;
    for (const tab of this.#tabs()) tab.addEventListener('click', () => this.#press(tab));
    for (const panel of side.querySelectorAll('.panel')) {
      const close = element('button', { class: 'tool sheet-close', testid: 'sheet-close' }, icon('close'));
      name(close, say('sheet.close'));
      close.addEventListener('click', () => this.#close());
      panel.prepend(close);
    }
    side.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.isOpen && !event.defaultPrevented) this.#close();
    });
    // A sheet slides in: before, it does not cover yet what it will cover.
    side.addEventListener('animationend', ({ animationName }) => {
      if (animationName === 'sheet') this.#changed();
    });
    this.#small.addEventListener('change', () => this.#show(), { signal: this.#ended.signal });
    this.#mark();
  }
  #side;
  #changed;

  destroy() {
    this.#ended.abort();
  }

  /** Whether a sheet lies over the stage. */
  get isOpen() {
    return this.#small.matches && this.#side.dataset['open'] === 'true';
  }

  /**
   * Whether the user sees this panel. On a large screen all are seen.
   * @param {string} panel
   */
  shows(panel) {
    return !this.#small.matches || (this.isOpen && this.#side.dataset['panel'] === panel);
  }

  /** @returns {DOMRect | null} the place of the sheet that lies over the stage */
  cover() {
    if (!this.isOpen) return null;
    return find(this.#side, `.panel-${this.#side.dataset['panel']}`, HTMLElement).getBoundingClientRect();
  }

  /** @param {string} panel */
  open(panel) {
    this.#side.dataset['panel'] = panel;
    this.#side.dataset['open'] = 'true';
    this.#show();
  }

  /** @param {HTMLElement} tab */
  #press(tab) {
    const panel = tab.dataset['tab'] ?? '';
    if (this.isOpen && this.#side.dataset['panel'] === panel) this.#close();
    else this.open(panel);
  }

  /** Close the sheet that lies over the stage. */
  close() {
    if (this.isOpen) this.#close();
  }

  #close() {
    const hadFocus = this.#side.contains(document.activeElement);
    this.#side.dataset['open'] = 'false';
    this.#show();
    if (hadFocus) this.#tabs().find((tab) => tab.dataset['tab'] === this.#side.dataset['panel'])?.focus();
  }

  #show() {
    this.#mark();
    this.#changed();
  }

  /** Mark the tab whose sheet is open. */
  #mark() {
    for (const tab of this.#tabs())
      tab.setAttribute('aria-pressed', String(this.isOpen && tab.dataset['tab'] === this.#side.dataset['panel']));
  }

  #tabs() {
    return [...this.#side.querySelectorAll('button[data-tab]')].filter((tab) => tab instanceof HTMLElement);
  }
}
