// A menu that opens at a button, by the WAI-ARIA Authoring Practices' pattern "menu button". It lies in the browser's
// top layer (a popover), so that no scrolling panel cuts it off. The browser closes it on Escape and on a click
// elsewhere.

import { element, icon, name } from './dom.js';

/**
 * `id` stays the same while the choice does; it is the element's test id, too. `line`: a line divides this choice from
 * those before it. `checked`: it is a switch, and is on or off. `label`: what is read aloud, where the text is a picture.
 * @typedef {{ id: string, text: string, label?: string, icon?: string, danger?: boolean, line?: boolean, checked?: boolean, run: () => void }} Choice
 */

/** A choice of a value from 0 to 100. @typedef {{ id: string, text: string, icon?: string, line?: boolean, value: number, set: (value: number) => void }} Slider */

/** The buttons that were pressed while their menus were open. @type {WeakSet<HTMLElement>} */
const OPEN_WHEN_PRESSED = new WeakSet();

const GAP = 4;
const MARGIN = 8;

export class Menu {
  #root;
  /** @type {HTMLElement | null} */
  #anchor = null;
  #typed = '';
  #typedAt = 0;

  /**
   * @param {HTMLElement} parent
   * @param {{ across?: boolean }} [look] `across`: the choices stand beside each other
   */
  constructor(parent, { across = false } = {}) {
    const root = element('div', { class: across ? 'menu across' : 'menu' });
    this.#root = root;
    this.#across = across;
    root.setAttribute('role', 'menu');
    root.setAttribute('popover', 'auto');
    root.addEventListener('keydown', (event) => this.#pressed(event));
    root.addEventListener('toggle', () => {
      if (!root.matches(':popover-open')) this.#closed();
    });
    parent.append(root);
  }

  #across;

  /** @returns {boolean} */
  get isOpen() {
    return this.#anchor !== null;
  }

  /**
   * Open it, or close it if it is open at this button.
   * @param {HTMLElement} anchor the button
   * @param {string} label
   * @param {(Choice | Slider)[]} choices
   */
  open(anchor, label, choices) {
    // A press on the button has closed the menu before its click arrives.
    if (OPEN_WHEN_PRESSED.delete(anchor)) return;
    this.#anchor?.setAttribute('aria-expanded', 'false');
    this.#anchor = anchor;
    anchor.setAttribute('aria-expanded', 'true');
    this.#root.setAttribute('aria-label', label);
    this.update(choices);
    this.#root.showPopover();
    this.#place(anchor);
    this.#choices()[0]?.focus();
  }

  /**
   * Offer these choices now. Somebody who is just choosing stays at the same choice if there still is one.
   * @param {(Choice | Slider)[]} choices
   */
  update(choices) {
    const at = document.activeElement;
    const chosen = at instanceof HTMLElement && this.#root.contains(at) ? at.dataset['testid'] : undefined;
    this.#root.replaceChildren(
      ...choices.flatMap((choice) => [
        ...(choice.line ? [Object.assign(element('hr'), { role: 'separator' })] : []),
        'set' in choice ? this.#slider(choice) : this.#item(choice),
      ]),
    );
    // A menu (WAI-ARIA) cannot have a slider in it.
    const isMenu = choices.every((choice) => !('set' in choice));
    this.#root.setAttribute('role', isMenu ? 'menu' : 'dialog');
    if (!isMenu) for (const item of this.#root.querySelectorAll('button')) item.removeAttribute('role');
    if (chosen === undefined) return;
    const items = this.#choices();
    (items.find((item) => item.dataset['testid'] === chosen) ?? items[0])?.focus();
  }

  close() {
    if (this.#root.matches(':popover-open')) this.#root.hidePopover();
  }

  /** @param {Choice} choice */
  #item({ id, text, label, icon: sign, danger = false, checked, run }) {
    const item = element('button', { class: 'menu-item', testid: id }, ...(sign ? [icon(sign)] : []), element('span', { text }));
    item.setAttribute('role', checked === undefined ? 'menuitem' : 'menuitemcheckbox');
    if (checked !== undefined) {
      item.setAttribute('aria-checked', String(checked));
      item.append(icon('check'));
    }
    if (label !== undefined) name(item, label);
    item.tabIndex = -1;
    item.classList.toggle('danger', danger);
    item.addEventListener('click', () => {
      this.close();
      run();
    });
    return item;
  }

  /** @param {Slider} choice */
  #slider({ id, text, icon: sign, value, set }) {
    const range = document.createElement('input');
    Object.assign(range, { type: 'range', min: '0', max: '100', step: '5', value: String(value), tabIndex: -1 });
    range.className = 'menu-item';
    range.dataset['testid'] = id;
    range.setAttribute('aria-label', text);
    range.addEventListener('input', () => set(Number(range.value)));
    return element('label', { class: 'menu-slider' }, ...(sign ? [icon(sign)] : []), range);
  }

  #choices() {
    return [...this.#root.querySelectorAll('.menu-item')].filter((item) => item instanceof HTMLElement);
  }

  #closed() {
    const anchor = this.#anchor;
    this.#anchor = null;
    anchor?.setAttribute('aria-expanded', 'false');
    // Whoever clicked elsewhere has the focus there.
    const at = document.activeElement;
    if (anchor?.isConnected && (at === document.body || at === null || this.#root.contains(at))) anchor.focus();
  }

  /** @param {HTMLElement} anchor */
  #place(anchor) {
    const [place, { style }] = [anchor.getBoundingClientRect(), this.#root];
    const { offsetWidth: width, offsetHeight: height } = this.#root;
    const view = document.documentElement;
    const rightToLeft = getComputedStyle(anchor).direction === 'rtl';
    const wanted = rightToLeft ? place.left : place.right - width;
    style.left = `${Math.max(MARGIN, Math.min(wanted, view.clientWidth - width - MARGIN))}px`;
    const below = view.clientHeight - place.bottom - GAP - MARGIN;
    const above = place.top - GAP - MARGIN;
    const upwards = height > below && above > below;
    style.maxHeight = `${upwards ? above : below}px`;
    style.top = upwards ? `${Math.max(MARGIN, place.top - GAP - Math.min(height, above))}px` : `${place.bottom + GAP}px`;
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const items = this.#choices();
    const at = items.findIndex((item) => item === document.activeElement);
    /** @type {Record<string, number>} */
    const steps = {
      [this.#across ? 'ArrowRight' : 'ArrowDown']: at + 1,
      [this.#across ? 'ArrowLeft' : 'ArrowUp']: at - 1,
      Home: 0,
      End: items.length - 1,
    };
    const step = steps[event.key];
    if (event.key === 'Tab') {
      this.close();
    } else if (step !== undefined) {
      event.preventDefault();
      items.at(step % items.length)?.focus();
    } else if (event.key.length === 1 && event.key !== ' ' && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this.#type(event.key, items, at);
    }
  }

  /**
   * Go to the next choice that begins with what is typed.
   * @param {string} letter
   * @param {HTMLElement[]} items
   * @param {number} at
   */
  #type(letter, items, at) {
    const now = Date.now();
    this.#typed = now - this.#typedAt < 700 ? this.#typed + letter.toLowerCase() : letter.toLowerCase();
    this.#typedAt = now;
    const from = this.#typed.length === 1 ? at + 1 : at;
    const round = [...items.slice(from), ...items.slice(0, from)];
    round.find((item) => item.textContent?.toLowerCase().startsWith(this.#typed))?.focus();
  }
}

/**
 * Make a button one that opens a menu.
 * @param {HTMLElement} button
 */
export function opensMenu(button) {
  button.setAttribute('aria-haspopup', 'menu');
  button.setAttribute('aria-expanded', 'false');
  button.addEventListener('pointerdown', () => {
    if (button.getAttribute('aria-expanded') === 'true') OPEN_WHEN_PRESSED.add(button);
    else OPEN_WHEN_PRESSED.delete(button);
  });
}
