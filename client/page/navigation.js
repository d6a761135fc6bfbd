// Going from address to address without a reload, by links and by the browser's Back and Forward.

/** @typedef {{ route: () => void, ends: (path: string) => boolean, ask: () => Promise<boolean> }} Guarded */

export class Navigation {
  /** Where in the tab's history the shown address is; each of our entries carries its place. */
  #at = placeOf(history.state) ?? 0;
  /** The user has agreed to the step that comes next. */
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

  /** @param {string} path another spelling of the address that is shown */
  replace(path) {
    history.replaceState({ place: this.#at }, '', path);
  }

  /** The browser has gone to another entry already: where that is not agreed to, go back to ours and ask. */
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
