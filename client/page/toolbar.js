// A toolbar is one stop for the Tab key; the arrow keys move between its buttons (WAI-ARIA Authoring Practices, pattern
// "toolbar"). The tiles of the stage have a way of their own, because they are rows of buttons: see roving.js.

export class Toolbar {
  /** @type {HTMLButtonElement | null} */
  #current = null;

  /** @param {HTMLElement} root whose children are the buttons */
  constructor(root) {
    this.#root = root;
    root.addEventListener('keydown', (event) => this.#pressed(event));
    root.addEventListener('focusin', ({ target }) => {
      const button = this.#buttons().find((found) => found === target);
      if (button) this.#choose(button);
    });
  }
  #root;

  /** Update it, because buttons have come, gone, or cannot be used. */
  update() {
    const buttons = this.#buttons();
    for (const button of this.#all()) button.tabIndex = -1;
    const current = this.#current !== null && buttons.includes(this.#current) ? this.#current : buttons[0];
    this.#choose(current ?? null);
  }

  /** Put the focus on the button that the Tab key would reach. */
  focus() {
    this.#current?.focus();
  }

  /** @returns {HTMLButtonElement[]} */
  #all() {
    return [...this.#root.children].flatMap((child) => (child instanceof HTMLButtonElement ? [child] : []));
  }

  #buttons() {
    return this.#all().filter((button) => !button.disabled && !button.hidden);
  }

  /** @param {HTMLButtonElement | null} button */
  #choose(button) {
    if (this.#current) this.#current.tabIndex = -1;
    this.#current = button;
    if (button) button.tabIndex = 0;
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const buttons = this.#buttons();
    const at = buttons.findIndex((button) => button === event.target);
    if (at < 0) return;
    const forward = getComputedStyle(this.#root).direction === 'rtl' ? -1 : 1;
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: at + forward, ArrowLeft: at - forward, Home: 0, End: buttons.length - 1 };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    buttons.at(step % buttons.length)?.focus();
  }
}
