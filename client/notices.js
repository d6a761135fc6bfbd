// Notices to the user: read aloud, shown for a while, closed by hand.

import { element, icon } from './dom.js';

const SHOWN = { info: 7_000, error: 15_000 };
const MAX_NOTICES = 4;

export class Notices {
  /** @param {HTMLElement} region an aria-live region */
  constructor(region) {
    this.#region = region;
  }
  #region;

  /** @param {import('./room.js').Notice} notice */
  show({ text, kind }) {
    for (const shown of [...this.#region.children]) {
      if (shown.textContent === text) shown.remove();
    }
    const close = element('button', { class: 'tool' }, icon('close'));
    close.setAttribute('aria-label', 'Close this notice');
    const notice = element('div', { class: 'notice', testid: 'notice' }, element('p', { text }), close);
    notice.dataset['kind'] = kind;
    close.addEventListener('click', () => notice.remove());
    this.#region.append(notice);
    while (this.#region.children.length > MAX_NOTICES) this.#region.firstElementChild?.remove();
    setTimeout(() => notice.remove(), SHOWN[kind]);
  }
}
