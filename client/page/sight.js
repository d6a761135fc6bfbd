// Watches which tiles the user can see (attention.js has the rules), and tells when what is to be received changes.

import { Attention, isCovered, isSeen, sizeOf } from './attention.js';

/** @import {Size} from '../wire/messages.d.ts' */

export class Sight {
  #attention = new Attention();
  /** @type {Map<string, Element>} */
  #tiles = new Map();
  /** @type {Map<Element, boolean>} */
  #inView = new Map();
  /** @type {Map<string, Size>} */
  #told = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #ended = new AbortController();

  /**
   * @param {{ cover: () => DOMRect | null, changed: (key: string, size: Size) => void }} on `cover`: what lies
   *   over the stage
   */
  constructor({ cover, changed }) {
    this.#cover = cover;
    this.#changed = changed;
    const { signal } = this.#ended;
    for (const type of ['visibilitychange', 'fullscreenchange'])
      document.addEventListener(type, () => this.look(), { signal });
    this.#observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.#inView.set(target, isIntersecting);
      this.look();
    });
  }
  #cover;
  #changed;
  #observer;

  /**
   * @param {string} key
   * @param {HTMLElement} tile
   */
  add(key, tile) {
    this.#tiles.set(key, tile);
    this.#observer.observe(tile);
    for (const type of ['enterpictureinpicture', 'leavepictureinpicture'])
      tile.addEventListener(type, () => this.look(), { signal: this.#ended.signal });
  }

  /** @param {string} key */
  remove(key) {
    const tile = this.#tiles.get(key);
    if (!tile) return;
    this.#observer.unobserve(tile);
    this.#inView.delete(tile);
    this.#tiles.delete(key);
    this.#attention.forget(key);
    this.#told.delete(key);
  }

  destroy() {
    clearTimeout(this.#timer);
    this.#ended.abort();
    this.#observer.disconnect();
  }

  /** Look again, because something has changed that decides what is seen. */
  look() {
    if (this.#ended.signal.aborted) return;
    clearTimeout(this.#timer);
    const now = performance.now();
    const cover = this.#cover();
    for (const [key, tile] of this.#tiles) {
      const inView = this.#inView.get(tile);
      // The observer has not looked yet.
      if (inView === undefined) continue;
      this.#attention.note(key, isSeen(factsOf(tile, inView, cover)), now);
      const size = this.#attention.wants(key, now) ? sizeOf(tile.getBoundingClientRect().width, this.#told.get(key)) : 'none';
      if (this.#told.get(key) === size) continue;
      this.#told.set(key, size);
      this.#changed(key, size);
    }
    const wait = this.#attention.changesIn(now);
    if (wait !== null) this.#timer = setTimeout(() => this.look(), Math.ceil(wait));
  }
}

/**
 * @param {Element} tile
 * @param {boolean} inView
 * @param {DOMRect | null} cover
 * @returns {import('./attention.js').SightFacts}
 */
function factsOf(tile, inView, cover) {
  const { fullscreenElement: full, pictureInPictureElement: floating } = document;
  return {
    floats: floating !== null && tile.contains(floating),
    tab: document.visibilityState === 'hidden' ? 'hidden' : 'seen',
    fullScreen: full === null || full.contains(tile) ? (full === tile ? 'this' : 'none') : 'another',
    covered: cover !== null && isCovered(tile.getBoundingClientRect(), cover),
    inView,
  };
}
