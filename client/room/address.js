// The address of a server, as somebody gives it to the library.

import { RoomfsmError } from './errors.js';

/** Names and addresses of this computer, to which a page by https may connect without TLS (W3C Secure Contexts section 3.1). */
const THIS_COMPUTER = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * `base`: `https://rooms.example.org`, with the path under which a proxy publishes the server, and without a slash at
 * its end. `socket`: the websocket's address.
 * @typedef {{ base: string, socket: string }} Address
 */

/**
 * @param {string | URL} given such as `https://rooms.example.org` or `https://example.org/rooms/`
 * @param {{ protocol: string, href: string } | undefined} [page] the location of the page, for relative addresses
 * @returns {Address}
 * @throws {RoomfsmError} `bad_address`, `insecure_server`
 */
export function addressOf(given, page = globalThis.location) {
  /** @type {URL} */
  let url;
  try {
    url = new URL(given, page?.href);
  } catch (error) {
    throw new RoomfsmError('bad_address', '', error);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new RoomfsmError('bad_address');
  if (url.protocol === 'http:' && page?.protocol === 'https:' && !THIS_COMPUTER.test(url.hostname))
    throw new RoomfsmError('insecure_server');
  const base = url.origin + url.pathname.replace(/\/+$/, '');
  return { base, socket: `${base.replace(/^http/, 'ws')}/ws` };
}
