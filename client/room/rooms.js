// The list of open rooms, which is requested regularly while the page is visible.

import { BASE } from '../wire/base.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */

const EVERY = 2_000;

/**
 * Ask now and every two seconds while the page is visible.
 * @param {(rooms: RoomSummary[]) => void} show
 * @param {() => void} failed the list could not be had
 * @returns {() => void} ends it
 */
export function followRooms(show, failed) {
  const ended = new AbortController();
  const { signal } = ended;

  async function ask() {
    if (document.visibilityState === 'hidden') return;
    try {
      const response = await fetch(`${BASE}/api/rooms`, { signal, cache: 'no-store' });
      if (!response.ok) throw new TypeError(`the server answered ${response.status}`);
      /** @type {{rooms: RoomSummary[]}} */
      const { rooms } = await response.json();
      if (!signal.aborted) show(rooms);
    } catch (error) {
      if (signal.aborted) return;
      console.debug('no list of rooms', error);
      failed();
    }
  }

  const timer = setInterval(ask, EVERY);
  document.addEventListener('visibilitychange', ask, { signal });
  void ask();
  return () => {
    clearInterval(timer);
    ended.abort();
  };
}
