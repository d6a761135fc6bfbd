// The page's keys. One table says which key does what; the handler uses it, and the dialog that `?` opens shows it. The
// letters are those that Jitsi Meet has, so that most people who know any keys know these.
//
// A key alone is a shortcut only while nobody types, no dialog or menu is open, and the user has not turned such keys
// off, as WCAG 2.1.4 demands: somebody who speaks to the computer would press them by chance. Keyboards of other
// scripts have no Latin letters, so there the place of the key counts.

/**
 * `held`: it works for as long as the key is down. `control`: with Ctrl, or Command.
 * @typedef {{ does: Does, key: string, code?: string, also?: string, held?: boolean, control?: boolean }} Shortcut
 */

/**
 * @typedef {'microphone' | 'talk' | 'camera' | 'screen' | 'hand' | 'chat' | 'people' | 'layout' | 'full' | 'rooms' | 'help'} Does
 */

/** @type {readonly Shortcut[]} */
export const SHORTCUTS = [
  { does: 'microphone', key: 'm', code: 'KeyM' },
  { does: 'talk', key: ' ', code: 'Space', held: true },
  { does: 'camera', key: 'v', code: 'KeyV' },
  { does: 'screen', key: 'd', code: 'KeyD' },
  { does: 'hand', key: 'r', code: 'KeyR' },
  { does: 'chat', key: 'c', code: 'KeyC' },
  { does: 'people', key: 'p', code: 'KeyP' },
  { does: 'layout', key: 'w', code: 'KeyW' },
  { does: 'full', key: 'f', code: 'KeyF' },
  { does: 'rooms', key: 'k', code: 'KeyK', control: true },
  { does: 'help', key: '?', also: '؟' },
];

const TYPING = 'input:not([type="checkbox"], [type="radio"], [type="range"]), textarea, select, [contenteditable]';
/** What the space bar presses, or scrolls. */
const USES_SPACE = 'button, a[href], input, select, textarea, summary, video, audio, [contenteditable], [tabindex="0"]';
const OPEN = 'dialog[open], :popover-open';

/** @typedef {Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'>} Pressed */

/**
 * @param {Pressed} pressed
 * @returns {Shortcut | undefined} the shortcut of this key
 */
export function shortcutOf({ key, code, ctrlKey, metaKey, altKey, shiftKey }) {
  const typed = key.toLowerCase();
  const foreign = /^[^\u0000-\u024f]$/u.test(typed);
  const controlled = ctrlKey || metaKey;
  return SHORTCUTS.find((shortcut) => {
    const { control = false } = shortcut;
    // A question mark is made with Shift on most keyboards, and on some with AltGr.
    if (shortcut.key === '?') return typed === '?' || typed === shortcut.also;
    if (altKey || shiftKey || controlled !== control) return false;
    return typed === shortcut.key || (foreign && code === shortcut.code);
  });
}

/**
 * What a shortcut does. It gets the element that has the focus, and returns what is to be done when the key is
 * let go, if there is anything.
 * @typedef {(at: Element) => (() => void) | void} Action
 */

export class Shortcuts {
  /** What is to be done when the key that is held is let go. @type {{ code: string, end: () => void } | null} */
  #held = null;

  /**
   * @param {() => Partial<Record<Does, Action>>} actions what the keys do at this moment
   * @param {() => boolean} areOn whether keys alone are shortcuts
   */
  constructor(actions, areOn) {
    this.#actions = actions;
    this.#areOn = areOn;
    document.addEventListener('keydown', (event) => this.#pressed(event));
    document.addEventListener('keyup', ({ code }) => {
      if (code === this.#held?.code) this.#release();
    });
    // Then nobody hears that the key is let go.
    addEventListener('blur', () => this.#release());
    document.addEventListener('visibilitychange', () => this.#release());
  }
  #actions;
  #areOn;

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.defaultPrevented || event.isComposing) return;
    const found = shortcutOf(event);
    const act = found && this.#actions()[found.does];
    if (!found || !act) return;
    const at = event.target instanceof Element ? event.target : document.body;
    if (!found.control) {
      if (!this.#areOn() || at.closest(TYPING) || document.querySelector(OPEN)) return;
      if (found.held && at.closest(USES_SPACE)) return;
    }
    event.preventDefault();
    // A question that waits for its answer is not covered.
    if (event.repeat || document.querySelector('dialog[open]')) return;
    const end = act(at);
    if (!found.held || !end) return;
    this.#release();
    this.#held = { code: event.code, end };
  }

  #release() {
    const held = this.#held;
    this.#held = null;
    held?.end();
  }
}
