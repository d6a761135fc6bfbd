// The addresses of rooms. Only the server knows which names are allowed (see naming.js).

import { BASE } from '../wire/base.js';

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
 * @returns {boolean} whether it is the start page's, or that of a room, be there such a room or not
 */
export function isPage(path) {
  return path === BASE || path === `${BASE}/` || roomOfPath(path) !== null;
}
