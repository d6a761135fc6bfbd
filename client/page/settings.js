// Settings that the browser remembers between visits. If storage is refused (private mode), they are kept for this
// page only.

import { choicesFrom } from '../media/choices.js';

/** @import {Choices} from '../media/choices.js' */

const NAME_KEY = 'roomfsm.name';
const CHOICES_KEY = 'roomfsm.devices';
const ENTRY_KEY = 'roomfsm.entry';
const ALONG_KEY = 'roomfsm.along';
const LANGUAGE_KEY = 'roomfsm.language';
const SHORTCUTS_KEY = 'roomfsm.shortcuts';

/** What was remembered here. It goes before what is stored. @type {Map<string, string>} */
const here = new Map();

/** @param {string} key */
function recall(key) {
  const kept = here.get(key);
  if (kept !== undefined) return kept;
  try {
    return localStorage.getItem(key);
  } catch (error) {
    console.debug('no storage', error);
    return null;
  }
}

/**
 * @param {string} key
 * @param {string} value
 */
function remember(key, value) {
  here.set(key, value);
  try {
    localStorage.setItem(key, value);
  } catch (error) {
    console.debug('remembered for this page only', error);
  }
}

/**
 * @param {string} key
 * @returns {unknown} null if there is nothing that can be read
 */
function recallData(key) {
  try {
    return JSON.parse(recall(key) ?? 'null');
  } catch (error) {
    console.debug('what was stored cannot be read', error);
    return null;
  }
}

/** @returns {string} the remembered display name; empty if there is none */
export function rememberedName() {
  return recall(NAME_KEY) ?? '';
}

/** Whether a name is remembered, even if it is the empty one, with which the user is a guest. */
export function hasName() {
  return recall(NAME_KEY) !== null;
}

/** @param {string} name */
export function rememberName(name) {
  // Whoever gives a name here for the first time has not seen yet what is asked before a room is entered.
  if (!hasName() && rememberedEntry() === null)
    rememberEntry({ ask: true, camera: false, microphone: false });
  remember(NAME_KEY, name);
}

/** @returns {Choices} what the user has chosen about devices */
export function rememberedChoices() {
  return choicesFrom(recallData(CHOICES_KEY), navigator.hardwareConcurrency ?? Infinity);
}

/** @param {Choices} choices */
export function rememberChoices(choices) {
  remember(CHOICES_KEY, JSON.stringify(choices));
}

/**
 * How the user entered a room the last time. `ask`: whether to ask again the next time.
 * @typedef {{ ask: boolean, camera: boolean, microphone: boolean }} Entry
 */

/** @returns {Entry | null} null: the user was never asked on this device */
export function rememberedEntry() {
  const found = recallData(ENTRY_KEY);
  if (typeof found !== 'object' || found === null) return null;
  const { ask, camera, microphone } = /** @type {Record<string, unknown>} */ (found);
  return { ask: ask !== false, camera: camera === true, microphone: microphone === true };
}

/** @param {Entry} entry */
export function rememberEntry(entry) {
  remember(ENTRY_KEY, JSON.stringify(entry));
}

/** Whether camera and microphone go along from a room to another. */
export function remembersAlong() {
  return recall(ALONG_KEY) === 'yes';
}

/** @param {boolean} along */
export function rememberAlong(along) {
  remember(ALONG_KEY, along ? 'yes' : 'no');
}

/** @returns {string | null} the language that the user has chosen; null: none, so that the browser's counts */
export function rememberedLanguage() {
  return recall(LANGUAGE_KEY);
}

/** @param {string} code */
export function rememberLanguage(code) {
  remember(LANGUAGE_KEY, code);
}

/** Whether keys alone, without Ctrl, are shortcuts. */
export function remembersShortcuts() {
  return recall(SHORTCUTS_KEY) !== 'off';
}

/** @param {boolean} on */
export function rememberShortcuts(on) {
  remember(SHORTCUTS_KEY, on ? 'on' : 'off');
}
