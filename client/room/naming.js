// Asks the server which names are allowed. The page has no rules of its own, so it always agrees with the server.

import { BASE } from '../wire/base.js';

/** @import {NameAnswer} from '../wire/api.d.ts' */

/** @type {NameAnswer} */
const UNREACHABLE = { fault: 'The server cannot be reached at the moment.', code: 'unreachable' };

/**
 * @param {string} text as somebody typed it
 * @returns {Promise<NameAnswer>} the room's name made of it, or what is wrong
 */
export function askRoomName(text) {
  return ask(`${BASE}/api/room-name`, text);
}

/**
 * @param {string} text as somebody typed it
 * @returns {Promise<NameAnswer>} the display name made of it, or what is wrong
 */
export function askDisplayName(text) {
  return ask(`${BASE}/api/display-name`, text);
}

/**
 * @param {string} address
 * @param {string} text
 * @returns {Promise<NameAnswer>}
 */
async function ask(address, text) {
  try {
    const response = await fetch(`${address}?${new URLSearchParams({ name: text })}`, { cache: 'no-store' });
    if (!response.ok) throw new TypeError(`the server answered ${response.status}`);
    return await response.json();
  } catch (error) {
    console.debug('names cannot be judged', error);
    return UNREACHABLE;
  }
}
