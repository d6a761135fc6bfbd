// What the user brings to enter rooms: the token of a link, and passwords that were typed. Both are kept for this tab
// only, and also survive a reload of the page.

const KEY = 'roomfsm.credentials';

/** @typedef {{ token?: string, password?: string }} Brought */

export class Credentials {
  /** By the room's name in lower case. @type {Record<string, Brought>} */
  #byRoom;

  /** @param {Pick<Storage, 'getItem' | 'setItem'> | null} storage null: nothing survives a reload */
  constructor(storage) {
    this.#storage = storage;
    this.#byRoom = read(storage);
  }
  #storage;

  /**
   * @param {string} room
   * @returns {Brought}
   */
  of(room) {
    return this.#byRoom[room.toLowerCase()] ?? {};
  }

  /**
   * Keep the token in the fragment of an address, `#token=…`.
   * @param {string} room
   * @param {string} fragment
   * @returns {boolean} whether there was one, so that it can be taken out of the address
   */
  takeFrom(room, fragment) {
    const token = new URLSearchParams(fragment.replace(/^#/, '')).get('token');
    if (!token) return false;
    // A new link replaces whatever was used before.
    this.#keep(room, { token });
    return true;
  }

  /**
   * Bring this to the room, besides what is brought already.
   * @param {string} room
   * @param {Brought} more
   */
  bring(room, more) {
    if (more.token || more.password) this.#keep(room, { ...this.of(room), ...more });
  }

  /**
   * @param {string} room
   * @param {string} password
   */
  setPassword(room, password) {
    this.bring(room, { password });
  }

  /**
   * @param {string} room
   * @param {Brought} brought
   */
  #keep(room, brought) {
    this.#byRoom[room.toLowerCase()] = brought;
    try {
      this.#storage?.setItem(KEY, JSON.stringify(this.#byRoom));
    } catch (error) {
      console.debug('the credentials are kept for this page only', error);
    }
  }
}

/** @returns {Storage | null} the storage of this tab; null if the browser refuses it (private mode) */
export function tabStorage() {
  try {
    return sessionStorage;
  } catch (error) {
    console.debug('no storage for credentials', error);
    return null;
  }
}

/**
 * @param {Pick<Storage, 'getItem'> | null} storage
 * @returns {Record<string, Brought>}
 */
function read(storage) {
  /** @type {Record<string, Brought>} */
  const found = Object.create(null);
  try {
    return Object.assign(found, JSON.parse(storage?.getItem(KEY) ?? '{}'));
  } catch (error) {
    console.debug('the stored credentials cannot be read', error);
    return found;
  }
}
