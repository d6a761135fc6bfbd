// Notices to the user: read aloud, shown for a while, closed by hand, taken back when what they tell is over.

import { ConnectionLost } from '../wire/connection.js';
import { element, find, icon, setText } from './dom.js';
import { explain } from './words.js';

/** Milliseconds. */
const SHOWN = { info: 7_000, error: 15_000 };
const MAX_NOTICES = 3;

/**
 * A notice replaces the one of the same topic; `topic` names its cause, as `publish:camera`. One that is `lasting`
 * tells what still holds: it stays until that is over, or is closed by hand.
 * @typedef {{ text: string, kind: 'info' | 'error', topic: string, lasting?: boolean }} Notice
 */

export class Notices {
  /** @type {Map<string, {root: HTMLElement, timer: ReturnType<typeof setTimeout> | undefined}>} by topic, the oldest first */
  #shown = new Map();
  /** What was closed by hand and still holds: not to be told again in the same words. @type {Map<string, string>} */
  #closed = new Map();

  /** @param {HTMLElement} region an aria-live region */
  constructor(region) {
    this.#region = region;
  }
  #region;

  /** @param {Notice} notice */
  show({ text, kind, topic, lasting = false }) {
    if (this.#closed.get(topic) === text) return;
    this.#closed.delete(topic);
    const old = this.#shown.get(topic);
    if (old) clearTimeout(old.timer);
    const root = old?.root ?? this.#make(topic);
    root.dataset['kind'] = kind;
    // The same words again are not read aloud again.
    setText(find(root, 'p', HTMLElement), text);
    if (!old) this.#region.append(root);
    const timer = lasting ? undefined : setTimeout(() => this.#remove(topic), SHOWN[kind]);
    this.#shown.set(topic, { root, timer });
    if (this.#shown.size > MAX_NOTICES) {
      // Not the new one. What would go by itself goes before what still holds, the older first.
      const others = [...this.#shown].filter(([other]) => other !== topic);
      const [first] = others.find(([, { timer }]) => timer) ?? others[0] ?? [];
      if (first !== undefined) this.#remove(first);
    }
  }

  /**
   * Tell that something was not done.
   * @param {string} what in a sentence; empty: the error says it
   * @param {unknown} error
   * @param {string} topic of the notice, where not the lost connection is at fault
   */
  showFailure(what, error, topic) {
    const lasting = error instanceof ConnectionLost;
    const text = `${what} ${explain(error)}`.trim();
    this.show({ text, kind: 'error', topic: lasting ? 'presence' : topic, lasting });
  }

  /** @param {string} topic what it told of is over */
  takeBack(topic) {
    this.#closed.delete(topic);
    this.#remove(topic);
  }

  /** What all of them told of is over. */
  clear() {
    this.#closed.clear();
    for (const topic of [...this.#shown.keys()]) this.#remove(topic);
  }

  /** @param {string} topic */
  #remove(topic) {
    const shown = this.#shown.get(topic);
    if (!shown) return;
    clearTimeout(shown.timer);
    shown.root.remove();
    this.#shown.delete(topic);
  }

  /** @param {string} topic */
  #make(topic) {
    const close = element('button', { class: 'tool' }, icon('close'));
    close.setAttribute('aria-label', 'Close this notice');
    const text = element('p');
    close.addEventListener('click', () => {
      this.#closed.set(topic, text.textContent ?? '');
      this.#remove(topic);
    });
    return element('div', { class: 'notice', testid: 'notice' }, text, close);
  }
}
