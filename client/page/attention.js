// Which pictures the user can see, so that only those are received. What comes into sight is wanted at once; what goes
// out of sight is wanted for a while longer, so that scrolling to and fro asks the server for nothing.

/** @import {Size} from '../wire/messages.d.ts' */

/** Milliseconds out of sight after which a picture is not received any more. */
export const UNSEEN_FOR = 2_000;

/**
 * `floats`: it is in a window of its own (picture-in-picture). `tab`: whether the page itself is seen. `fullScreen`:
 * whether it, or another picture, fills the screen. `covered`: something lies over it. `inView`: it is scrolled to a
 * place where it can be seen.
 * @typedef {{
 *   floats: boolean,
 *   tab: 'seen' | 'hidden',
 *   fullScreen: 'none' | 'this' | 'another',
 *   covered: boolean,
 *   inView: boolean,
 * }} SightFacts
 */

/** The first row whose facts all fit. @type {readonly { seen: boolean, when: { [F in keyof SightFacts]?: readonly SightFacts[F][] } }[]} */
export const SIGHT = [
  { seen: true, when: { floats: [true] } },
  { seen: false, when: { tab: ['hidden'] } },
  { seen: true, when: { fullScreen: ['this'] } },
  { seen: false, when: { fullScreen: ['another'] } },
  { seen: false, when: { covered: [true] } },
  { seen: true, when: { inView: [true] } },
  { seen: false, when: {} },
];

/** @param {SightFacts} facts */
export function isSeen(facts) {
  const row = SIGHT.find(({ when }) =>
    Object.entries(when).every(([fact, values]) =>
      /** @type {readonly unknown[]} */ (values).includes(facts[/** @type {keyof SightFacts} */ (fact)]),
    ),
  );
  return row?.seen ?? false;
}

/** Up to so many pixels of width (CSS), a picture has that size; a wider one is large. @type {readonly (readonly [number, Size])[]} */
const WIDTHS = [
  [260, 'small'],
  [560, 'medium'],
];

/** A size changes when the width is so many times beyond its edge, so that it does not change to and fro. */
const CLEARLY = 1.1;

/**
 * @param {number} width of the tile, in pixels (CSS)
 * @param {Size} [before] the size that it had
 * @returns {Size}
 */
export function sizeOf(width, before) {
  const at = (/** @type {number} */ wide) => WIDTHS.find(([most]) => wide <= most)?.[1] ?? 'large';
  if (before && (at(width * CLEARLY) === before || at(width / CLEARLY) === before)) return before;
  return at(width);
}

/**
 * The size of a picture until it is shown.
 * @param {number} pictures how many there are
 * @returns {Size}
 */
export function expectedSize(pictures) {
  if (pictures <= 2) return 'large';
  return pictures <= 6 ? 'medium' : 'small';
}

export class Attention {
  /** Since when each picture is out of sight; null: it is seen. @type {Map<string, number | null>} */
  #unseen = new Map();

  /**
   * @param {string} key
   * @param {boolean} seen
   * @param {number} now in milliseconds
   */
  note(key, seen, now) {
    if (seen) this.#unseen.set(key, null);
    // A picture that has never been seen is not waited for.
    else if (!this.#unseen.has(key)) this.#unseen.set(key, -Infinity);
    else this.#unseen.set(key, this.#unseen.get(key) ?? now);
  }

  /** @param {string} key */
  forget(key) {
    this.#unseen.delete(key);
  }

  /**
   * @param {string} key
   * @param {number} now in milliseconds
   * @returns {boolean} whether its picture is to be received; so it is as long as nothing is known of it
   */
  wants(key, now) {
    const since = this.#unseen.get(key) ?? null;
    return since === null || now < since + UNSEEN_FOR;
  }

  /**
   * @param {number} now in milliseconds
   * @returns {number | null} the milliseconds until some picture is not wanted any more, if nothing changes before
   */
  changesIn(now) {
    const due = [...this.#unseen.values()].flatMap((since) =>
      since !== null && now < since + UNSEEN_FOR ? [since + UNSEEN_FOR - now] : [],
    );
    return due.length > 0 ? Math.min(...due) : null;
  }
}

/** A tile of which so much is covered is not seen. */
const MOST_COVERED = 0.85;

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box */

/**
 * @param {Box} tile
 * @param {Box} cover what lies over it
 */
export function isCovered(tile, cover) {
  const width = Math.min(tile.right, cover.right) - Math.max(tile.left, cover.left);
  const height = Math.min(tile.bottom, cover.bottom) - Math.max(tile.top, cover.top);
  const whole = (tile.right - tile.left) * (tile.bottom - tile.top);
  return whole > 0 && width > 0 && height > 0 && (width * height) / whole > MOST_COVERED;
}
