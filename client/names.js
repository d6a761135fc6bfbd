// Which room names and display names the server accepts, so that the page can say so before it asks.

const ROOM_NAME = /^(?!\.{1,2}$)[\p{L}\p{N}._-]{1,64}$/u;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const MAX_DISPLAY_NAME = 64;

export const DEFAULT_NAME = 'Guest';

/**
 * @param {string} name
 * @returns {string | null} what is wrong with it, in words; null: nothing
 */
export function roomNameFault(name) {
  if (name === '') return 'Type the name of a room.';
  if (/\s/.test(name)) return 'A room name has no spaces; use “-” or “_” instead.';
  if ([...name].length > 64) return 'A room name has at most 64 characters.';
  if (!ROOM_NAME.test(name))
    return 'A room name is made of letters and digits of any script, “.”, “_” and “-”.';
  return null;
}

/**
 * @param {string} name
 * @returns {string | null} what is wrong with it, in words; null: nothing
 */
export function displayNameFault(name) {
  if (name.trim() === '') return 'A name needs at least one visible character.';
  if ([...name].length > MAX_DISPLAY_NAME) return `A name has at most ${MAX_DISPLAY_NAME} characters.`;
  if (CONTROL.test(name)) return 'A name has no control characters.';
  return null;
}

/**
 * The form by which room names are compared.
 * @param {string} name
 */
export function foldRoomName(name) {
  // Upper case first: it alone spells out what folds into several letters, such as “ß”.
  return name.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
}

/**
 * @param {string} name
 * @returns {string} the path of the room's page
 */
export function roomPath(name) {
  return `/r/${encodeURIComponent(name)}`;
}

/**
 * @param {string} path a location's pathname
 * @param {string} [root] what stands before the name
 * @returns {string | null} what it gives as the name of a room, good or not; null: it is no room's address
 */
export function roomOfPath(path, root = '/r/') {
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
 * @returns {string | null} why there is no page, in words; null: it is the lobby's or a room's
 */
export function addressFault(path) {
  if (path === '/') return null;
  const name = roomOfPath(path);
  return name === null ? 'There is no page at this address.' : roomFault(name);
}

/**
 * @param {string} name
 * @returns {string | null} that there can be no such room, and why; null: there can
 */
export function roomFault(name) {
  const fault = roomNameFault(name);
  if (fault === null) return null;
  if (name === '') return `An empty name cannot be a room. ${fault}`;
  const characters = [...name];
  const shown = characters.length > 64 ? `${characters.slice(0, 64).join('')}…` : name;
  return `“${shown}” cannot be a room. ${fault}`;
}
