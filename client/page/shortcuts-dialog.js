// The dialog that lists the page's keys, and in which those without Ctrl are turned off.

import { element, find, part } from './dom.js';
import { say } from './say.js';
import { rememberShortcuts, remembersShortcuts } from './settings.js';
import { SHORTCUTS } from './shortcuts.js';

/** @import {Shortcut} from './shortcuts.js' */

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);

export class ShortcutsDialog {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {() => void} changed the user has turned the keys on or off
   */
  constructor(dialog, changed) {
    this.#dialog = dialog;
    this.#list = part(dialog, 'shortcuts');
    this.#switch = find(dialog, '[data-testid="shortcuts-on"]', HTMLInputElement);
    this.#switch.addEventListener('change', () => {
      rememberShortcuts(this.#switch.checked);
      changed();
    });
  }
  #dialog;
  #list;
  #switch;

  show() {
    this.#list.replaceChildren(
      ...SHORTCUTS.map((shortcut) => {
        const key = element('dt', {}, element('kbd', { text: keysOf(shortcut) }));
        return element('div', { testid: `shortcut-${shortcut.does}` }, key, element('dd', { text: say(`keys.${shortcut.does}`) }));
      }),
    );
    this.#switch.checked = remembersShortcuts();
    this.#dialog.showModal();
  }
}

/**
 * @param {Shortcut} shortcut
 * @returns {string} how its keys are written, as in "Ctrl K"
 */
function keysOf({ key, control = false }) {
  const letter = key === ' ' ? say('keys.space') : key.toUpperCase();
  if (!control) return letter;
  return APPLE ? `⌘ ${letter}` : `${say('keys.control')} ${letter}`;
}

/**
 * Tell those who use assistive technology which key presses this button.
 * @param {Element} button
 * @param {import('./shortcuts.js').Does} does
 */
export function showKey(button, does) {
  const shortcut = SHORTCUTS.find((known) => known.does === does);
  if (!shortcut) return;
  if (remembersShortcuts()) button.setAttribute('aria-keyshortcuts', shortcut.key.toUpperCase());
  else button.removeAttribute('aria-keyshortcuts');
}
