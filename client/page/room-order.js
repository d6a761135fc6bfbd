// The order of the rooms on the start page, in the switcher and beside a room, and the search among them. There is no
// document here.

import { matches } from './roster.js';
import { compareNames } from './say.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */

/**
 * `open`: there is such a room now. Otherwise the user was in it, and would open it again.
 * @typedef {RoomSummary & { open: boolean, visited: boolean }} Choice
 */

/**
 * The rooms in which the user was come first, the latest one at the top; then those that are live, and the others, by
 * their names. The room in which the user is, is left out.
 * @param {readonly RoomSummary[]} rooms that are open
 * @param {{ visited?: readonly string[], here?: string | undefined }} [user] `visited`: the latest first
 * @returns {Choice[]}
 */
export function inOrder(rooms, { visited = [], here } = {}) {
  const rank = new Map(visited.map((name, at) => [fold(name), at]));
  const open = new Set(rooms.map(({ name }) => fold(name)));
  /** @type {Choice[]} */
  const choices = [
    ...rooms.map((room) => ({ ...room, open: true, visited: rank.has(fold(room.name)) })),
    ...visited
      .filter((name) => !open.has(fold(name)))
      .map((name) => ({ name, participants: 0, streams: 0, state: /** @type {const} */ ('empty'), open: false, visited: true })),
  ];
  const last = visited.length;
  /** @param {Choice} room */
  const rankOf = ({ name }) => rank.get(fold(name)) ?? last;
  return choices
    .filter(({ name }) => here === undefined || fold(name) !== fold(here))
    .sort(
      (a, b) =>
        rankOf(a) - rankOf(b) ||
        Number(b.streams > 0) - Number(a.streams > 0) ||
        compareNames(a.name, b.name) ||
        (a.name < b.name ? -1 : 1),
    );
}

/**
 * @param {readonly Choice[]} choices
 * @param {string} typed
 * @returns {Choice[]} those whose names have each word that was typed
 */
export function search(choices, typed) {
  return choices.filter(({ name }) => matches(name, typed));
}

/**
 * Whether a room has this name, as far as the page can tell.
 * @param {readonly Choice[]} choices
 * @param {string} typed
 */
export function has(choices, typed) {
  return choices.some(({ name }) => fold(name) === fold(typed.trim()));
}

/** @param {string} name */
function fold(name) {
  return name.normalize('NFKC').toLowerCase();
}
