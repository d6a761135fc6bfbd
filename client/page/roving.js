// The buttons of all tiles are one stop for the Tab key; the arrow keys move between them (WAI-ARIA Authoring
// Practices, roving tabindex). With twelve people the controls would otherwise be forty stops away.

const BUTTONS = '.tile-tools > button';

export class Roving {
  /** @type {HTMLButtonElement | null} */
  #current = null;

  /** @param {HTMLElement} list of tiles */
  constructor(list) {
    this.#list = list;
    list.addEventListener('keydown', (event) => this.#move(event));
    list.addEventListener('focusin', ({ target }) => {
      if (target instanceof HTMLButtonElement && target.matches(BUTTONS)) this.#choose(target);
    });
  }
  #list;

  /** Update it, because tiles or their buttons have come or gone. */
  update() {
    const buttons = this.#buttons();
    const kept = this.#current !== null && buttons.includes(this.#current) ? this.#current : buttons[0];
    for (const button of buttons) button.tabIndex = -1;
    this.#choose(kept ?? null);
  }

  /** Put the focus on the button that the Tab key would reach. Returns whether there is one. */
  focus() {
    this.#current?.focus();
    return this.#current !== null;
  }

  #buttons() {
    return /** @type {HTMLButtonElement[]} */ ([...this.#list.querySelectorAll(BUTTONS)]).filter(
      (button) => button.getClientRects().length > 0,
    );
  }

  /** @param {HTMLButtonElement | null} button */
  #choose(button) {
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = button;
    if (button) button.tabIndex = 0;
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const { target, key } = event;
    if (!(target instanceof HTMLButtonElement) || event.altKey || event.ctrlKey || event.metaKey) return;
    const buttons = this.#buttons();
    const at = buttons.indexOf(target);
    if (at < 0) return;
    const forward = getComputedStyle(this.#list).direction === 'rtl' ? -1 : 1;
    const tiles = [...new Set(buttons.map(tileOf))];
    const besides = (/** @type {number} */ step) => {
      const tile = tiles[tiles.indexOf(tileOf(target)) + step];
      const same = buttons.find((button) => tileOf(button) === tile && button.dataset['testid'] === target.dataset['testid']);
      return tile && (same ?? buttons.find((button) => tileOf(button) === tile));
    };
    /** @type {Record<string, () => HTMLButtonElement | null | undefined>} */
    const next = {
      ArrowRight: () => buttons[at + forward],
      ArrowLeft: () => buttons[at - forward],
      ArrowDown: () => besides(1),
      ArrowUp: () => besides(-1),
      Home: () => buttons[0],
      End: () => buttons.at(-1),
    };
    const to = next[key];
    if (!to) return;
    event.preventDefault();
    to()?.focus();
  }
}

/** @param {Element} button */
function tileOf(button) {
  return button.closest('.tile');
}
