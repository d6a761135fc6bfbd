// The addresses of rooms. What may be a room's name is known to the server alone (see naming.js).

import { BASE } from './base.js';

/**
 * @param {string} name
 * @returns {string} the path of the room's page
 */
export function roomPath(name) {
  return `${BASE}/r/${encodeURIComponent(name)}`;
}

/**
 * @param {string} path a location's pathname
 * @param {string} [root] what stands before the name
 * @returns {string | null} what it gives as the name of a room, good or not; null: it is no room's address
 */
export function roomOfPath(path, root = `${BASE}/r/`) {
  if (!path.startsWith(root)) return null;
  const name = path.slice(root.length);
  try {
    return decodeURIComponent(name);
  } catch (error) {
    if (error instanceof URIError) return name;
    throw error;
  }
}

/**
 * @param {string} path a location's pathname
 * @returns {boolean} whether it is the lobby's, or that of a room, be there such a room or not
 */
export function isPage(path) {
  return path === BASE || path === `${BASE}/` || roomOfPath(path) !== null;
}

/**
 * @param {string} name
 * @param {string} fault what is wrong with it, in a sentence
 * @returns {string} the same for somebody who followed an address
 */
export function cannotBeARoom(name, fault) {
  if (name === '') return `A room’s name cannot be empty. ${fault}`;
  const characters = [...name];
  const shown = characters.length > 64 ? `${characters.slice(0, 64).join('')}…` : name;
  return `“${shown}” cannot be a room. ${sentence(fault)}`;
}

/**
 * @param {string} text what a server says, which may not look like a sentence
 * @returns {string}
 */
function sentence(text) {
  const said = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(said) ? said : `${said}.`;
}
