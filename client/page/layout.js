// What of the stage is large, what is in the strip beside it, and what is not shown. The first row of the table whose
// facts all fit decides; nothing here knows sizes (grid.js does) or elements.

/** @import {Source} from '../wire/messages.d.ts' */

/** What a picture on the stage is to the layout. @typedef {{ key: string, own: boolean, source: Source }} Shown */

/**
 * `arrangement`: what the user chose. `pinned`: the picture that the user wants large. `setAside`: the screens that
 * the user does not want large. `speaker`: the picture of who speaks, or spoke last (speaker.js). `selfView`: whether
 * the user wants to see the own camera.
 * @typedef {{
 *   arrangement: Arrangement,
 *   pinned: string | null,
 *   setAside: ReadonlySet<string>,
 *   speaker: string | null,
 *   selfView: boolean,
 * }} Wishes
 */

/** @typedef {'speaker' | 'grid'} Arrangement */
/** @typedef {'large' | 'strip' | 'grid' | 'corner' | 'unshown'} Place */
/** @typedef {{ pinned: boolean, screen: boolean, arrangement: Arrangement, spoken: boolean }} LayoutFacts */

/**
 * `pinned`: the pinned picture is there. `screen`: somebody else shares a screen that is not set aside. `spoken`:
 * somebody who is there has spoken. What is large is one of these, or nothing: then all are equal.
 * @type {readonly { large: 'pinned' | 'screen' | 'speaker' | null, when: { [F in keyof LayoutFacts]?: readonly LayoutFacts[F][] } }[]}
 */
export const LAYOUT = [
  { large: 'pinned', when: { pinned: [true] } },
  { large: 'screen', when: { screen: [true] } },
  { large: null, when: { arrangement: ['grid'] } },
  { large: 'speaker', when: { spoken: [true] } },
  { large: null, when: {} },
];

/**
 * @param {readonly Shown[]} pictures
 * @param {Wishes} wishes
 * @returns {string | null} the key of the large picture
 */
export function largeOf(pictures, { arrangement, pinned, setAside, speaker }) {
  const has = (/** @type {string | null} */ key) => pictures.some((picture) => picture.key === key);
  const screen = screensOf(pictures).findLast((key) => !setAside.has(key)) ?? null;
  /** @type {LayoutFacts} */
  const facts = { pinned: has(pinned), screen: screen !== null, arrangement, spoken: has(speaker) };
  const row = LAYOUT.find(({ when }) =>
    Object.entries(when).every(([fact, values]) =>
      /** @type {readonly unknown[]} */ (values).includes(facts[/** @type {keyof LayoutFacts} */ (fact)]),
    ),
  );
  return row?.large ? { pinned, screen, speaker }[row.large] : null;
}

/**
 * The own camera is never as large as the others while there are any, unless the user has pinned it.
 * @param {readonly Shown[]} pictures
 * @param {Wishes} wishes
 * @returns {Map<string, Place>} by key, in the order of the pictures
 */
export function layOut(pictures, wishes) {
  const large = largeOf(pictures, wishes);
  const alone = pictures.every(({ own }) => own);
  return new Map(pictures.map((picture) => [picture.key, placeOf(picture)]));

  /**
   * @param {Shown} picture
   * @returns {Place}
   */
  function placeOf({ key, own, source }) {
    if (key === large) return 'large';
    if (own && source === 'camera') {
      if (!wishes.selfView) return 'unshown';
      if (!alone) return 'corner';
    }
    return large === null ? 'grid' : 'strip';
  }
}

/**
 * The screens that others share, in the order in which they began.
 * @param {readonly Shown[]} pictures
 */
export function screensOf(pictures) {
  return pictures.filter(({ own, source }) => !own && source === 'screen').map(({ key }) => key);
}
