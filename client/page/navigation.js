// Changes the address without a reload, by links and by the browser's Back and Forward buttons.

/** @typedef {{ route: () => void, ends: (path: string) => boolean, ask: () => Promise<boolean> }} Guarded */

export class Navigation {
  /** The position of the shown address in the tab's history. Each of our entries stores its position. */
  #at = placeOf(history.state) ?? 0;
  /** Whether the user has agreed to the next step. */
  #agreed = false;
  #asking = false;

  /**
   * @param {Guarded} page `route`: show what the address names; `ends`: whether going to this path ends something
   *   that must not end unasked; `ask`: whether it may
   */
  constructor(page) {
    this.#page = page;
    this.replace(location.pathname);
    addEventListener('popstate', () => void this.#stepped());
  }
  #page;

  /** @param {string} path */
  async goTo(path) {
    if (this.#page.ends(path) && !(await this.#page.ask())) return;
    if (path !== location.pathname) {
      this.#at += 1;
      history.pushState({ place: this.#at }, '', path);
    }
    this.#page.route();
  }

  /** @param {string} path another spelling of the shown address */
  replace(path) {
    history.replaceState({ place: this.#at }, '', path);
  }

  /** Handle a step that the browser has already made. If the user has not agreed to it, go back and ask. */
  async #stepped() {
    const place = placeOf(history.state);
    if (place === this.#at) return;
    if (this.#agreed || place === null || !this.#page.ends(location.pathname)) {
      this.#agreed = false;
      this.#at = place ?? this.#at + 1;
      this.replace(location.pathname);
      this.#page.route();
      return;
    }
    const steps = place - this.#at;
    history.go(-steps);
    if (this.#asking) return;
    this.#asking = true;
    this.#agreed = await this.#page.ask();
    this.#asking = false;
    if (this.#agreed) history.go(steps);
  }
}

/**
 * @param {unknown} state of a history entry
 * @returns {number | null} null: not one of ours
 */
function placeOf(state) {
  return typeof state === 'object' && state !== null && 'place' in state && typeof state.place === 'number'
    ? state.place
    : null;
}
