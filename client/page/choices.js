// What the user has chosen about the stage, remembered between visits; and how loud each person is, remembered for this
// visit. If storage is refused (private mode), both are kept for this page only.

/** @import {Arrangement} from './layout.js' */

/** @typedef {{ arrangement: Arrangement, selfView: boolean, mirrored: boolean }} Choices */
/** `volume` from 0 to 1. @typedef {{ volume: number, muted: boolean }} Loudness */

const CHOICES_KEY = 'roomfsm.stage';
const LOUDNESS_KEY = 'roomfsm.loudness';
/** So many people are remembered; the one who was set first is forgotten first. */
const MOST_PEOPLE = 500;

/** @type {Choices} */
const DEFAULTS = { arrangement: 'speaker', selfView: true, mirrored: true };
/** @type {Loudness} */
const AS_IT_IS = { volume: 1, muted: false };

/**
 * @param {() => Storage} storage
 * @param {string} key
 * @returns {unknown} what is stored there; undefined if nothing is, or nothing can be read
 */
function read(storage, key) {
  try {
    return JSON.parse(storage().getItem(key) ?? 'null') ?? undefined;
  } catch (error) {
    console.debug('no storage, or not ours', key, error);
    return undefined;
  }
}

/**
 * @param {() => Storage} storage
 * @param {string} key
 * @param {unknown} value
 */
function write(storage, key, value) {
  try {
    storage().setItem(key, JSON.stringify(value));
  } catch (error) {
    console.debug('kept for this page only', key, error);
  }
}

/** @type {Choices | null} */
let choices = null;

/** @returns {Readonly<Choices>} */
export function chosen() {
  choices ??= choicesFrom(read(() => localStorage, CHOICES_KEY));
  return choices;
}

/** @param {Partial<Choices>} more */
export function choose(more) {
  choices = { ...chosen(), ...more };
  write(() => localStorage, CHOICES_KEY, choices);
}

/**
 * @param {unknown} stored which another version of the page, or somebody by hand, may have stored
 * @returns {Choices}
 */
export function choicesFrom(stored) {
  const { arrangement, selfView, mirrored } = /** @type {Partial<Record<keyof Choices, unknown>>} */ (
    typeof stored === 'object' && stored !== null ? stored : {}
  );
  return {
    arrangement: arrangement === 'grid' ? 'grid' : DEFAULTS.arrangement,
    selfView: typeof selfView === 'boolean' ? selfView : DEFAULTS.selfView,
    mirrored: typeof mirrored === 'boolean' ? mirrored : DEFAULTS.mirrored,
  };
}

/** @type {Map<string, Loudness> | null} */
let people = null;

/**
 * @param {string} participant
 * @returns {Readonly<Loudness>}
 */
export function loudnessOf(participant) {
  people ??= loudnessFrom(read(() => sessionStorage, LOUDNESS_KEY));
  return people.get(participant) ?? AS_IT_IS;
}

/**
 * @param {string} participant
 * @param {Partial<Loudness>} more
 */
export function setLoudness(participant, more) {
  const loudness = { ...loudnessOf(participant), ...more };
  const known = people ?? new Map();
  known.delete(participant);
  known.set(participant, loudness);
  const [oldest] = known.keys();
  if (known.size > MOST_PEOPLE && oldest !== undefined) known.delete(oldest);
  people = known;
  write(() => sessionStorage, LOUDNESS_KEY, [...known]);
}

/**
 * @param {unknown} stored
 * @returns {Map<string, Loudness>}
 */
export function loudnessFrom(stored) {
  /** @type {Map<string, Loudness>} */
  const found = new Map();
  for (const entry of Array.isArray(stored) ? stored.slice(-MOST_PEOPLE) : []) {
    const [id, loudness] = Array.isArray(entry) ? entry : [];
    const { volume, muted } = loudness ?? {};
    if (typeof id !== 'string' || typeof volume !== 'number' || !(volume >= 0 && volume <= 1)) continue;
    found.set(id, { volume, muted: muted === true });
  }
  return found;
}
