// Notices to the user: read aloud, shown for a while, closed by hand, taken back when what they tell is over.

import { element, find, icon, setText } from './dom.js';

/** Milliseconds. */
const SHOWN = { info: 7_000, error: 15_000 };
const MAX_NOTICES = 3;

/**
 * A notice replaces the one of the same topic; `topic` names its cause, as `publish:camera`.
 * @typedef {{ text: string, kind: 'info' | 'error', topic: string }} Notice
 */

export class Notices {
  /** @type {Map<string, {root: HTMLElement, timer: ReturnType<typeof setTimeout>}>} by topic, the oldest first */
  #shown = new Map();

  /** @param {HTMLElement} region an aria-live region */
  constructor(region) {
    this.#region = region;
  }
  #region;

  /** @param {Notice} notice */
  show({ text, kind, topic }) {
    const old = this.#shown.get(topic);
    if (old) clearTimeout(old.timer);
    const root = old?.root ?? this.#make(topic);
    root.dataset['kind'] = kind;
    // The same words again are not read aloud again.
    setText(find(root, 'p', HTMLElement), text);
    if (!old) this.#region.append(root);
    this.#shown.set(topic, { root, timer: setTimeout(() => this.takeBack(topic), SHOWN[kind]) });
    const [oldest] = this.#shown.keys();
    if (this.#shown.size > MAX_NOTICES && oldest !== undefined) this.takeBack(oldest);
  }

  /** @param {string} topic what it told of is over */
  takeBack(topic) {
    const shown = this.#shown.get(topic);
    if (!shown) return;
    clearTimeout(shown.timer);
    shown.root.remove();
    this.#shown.delete(topic);
  }

  /** What all of them told of is over. */
  clear() {
    for (const topic of [...this.#shown.keys()]) this.takeBack(topic);
  }

  /** @param {string} topic */
  #make(topic) {
    const close = element('button', { class: 'tool' }, icon('close'));
    close.setAttribute('aria-label', 'Close this notice');
    close.addEventListener('click', () => this.takeBack(topic));
    return element('div', { class: 'notice', testid: 'notice' }, element('p'), close);
  }
}
