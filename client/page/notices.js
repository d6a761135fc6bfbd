// Notices to the user. They are read aloud, shown for a while, can be closed, and are removed when their cause is
// over.

import { ConnectionLost } from '../wire/connection.js';
import { element, find, icon, setText } from './dom.js';
import { say } from './say.js';
import { explain } from './words.js';

/** The time in milliseconds for which a notice is shown. */
const SHOWN = { info: 7_000, error: 15_000 };
const MAX_NOTICES = 3;

/**
 * A notice replaces an older one of the same topic. `topic` names its cause, such as `publish:camera`. A `lasting`
 * notice stays until its cause is over or the user closes it. With `toRead` it stays for a while after that, because
 * it tells what has happened, and its cause may be over in a moment.
 * @typedef {{ text: string, kind: 'info' | 'error', topic: string, lasting?: boolean, toRead?: boolean }} Notice
 */

export class Notices {
  /** @type {Map<string, {root: HTMLElement, timer: ReturnType<typeof setTimeout> | undefined, toRead: number}>} by topic, the oldest first */
  #shown = new Map();
  /** Notices that the user closed although their cause continues. They are not shown again with the same text. @type {Map<string, string>} */
  #closed = new Map();

  /** @param {HTMLElement} region an aria-live region */
  constructor(region) {
    this.#region = region;
  }
  #region;

  /** @param {Notice} notice */
  show({ text, kind, topic, lasting = false, toRead = false }) {
    if (this.#closed.get(topic) === text) return;
    this.#closed.delete(topic);
    const old = this.#shown.get(topic);
    if (old) clearTimeout(old.timer);
    const root = old?.root ?? this.#make(topic);
    root.dataset['kind'] = kind;
    // The same text is not read aloud again.
    setText(find(root, 'p', HTMLElement), text);
    if (!old) this.#region.append(root);
    const timer = lasting ? undefined : setTimeout(() => this.#remove(topic), SHOWN[kind]);
    this.#shown.set(topic, { root, timer, toRead: toRead ? SHOWN[kind] : 0 });
    if (this.#shown.size > MAX_NOTICES) {
      // The new notice is not removed. Notices that would disappear by themselves are removed before lasting ones,
      // and older ones first.
      const others = [...this.#shown].filter(([other]) => other !== topic);
      const [first] = others.find(([, { timer }]) => timer) ?? others[0] ?? [];
      if (first !== undefined) this.#remove(first);
    }
  }

  /**
   * Show that something could not be done.
   * @param {string} what in a sentence; empty: the error says it
   * @param {unknown} error
   * @param {string} topic of the notice, where not the lost connection is at fault
   */
  showFailure(what, error, topic) {
    const lasting = error instanceof ConnectionLost;
    const text = `${what} ${explain(error)}`.trim();
    this.show({ text, kind: 'error', topic: lasting ? 'presence' : topic, lasting });
  }

  /** @param {string} topic the topic whose cause is over */
  takeBack(topic) {
    this.#closed.delete(topic);
    const shown = this.#shown.get(topic);
    if (!shown?.toRead) this.#remove(topic);
    else shown.timer ??= setTimeout(() => this.#remove(topic), shown.toRead);
  }

  /** Remove all notices, because their causes are over. */
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
    close.setAttribute('aria-label', say('page.closeNotice'));
    const text = element('p');
    close.addEventListener('click', () => {
      this.#closed.set(topic, text.textContent ?? '');
      this.#remove(topic);
    });
    return element('div', { class: 'notice', testid: 'notice' }, text, close);
  }
}
