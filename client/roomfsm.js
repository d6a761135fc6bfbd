// roomfsm for any page: connect to a server, enter a room, present, watch, chat, moderate, and read statistics. It has
// no look of its own and touches no document. docs/embed.md says how to use it; the page of the server is its first
// user.

import { addressOf } from './room/address.js';
import { Client } from './room/client.js';
import { RoomfsmError } from './room/errors.js';

/** @import {Credentials} from './room/credentials.js' */

export { Client, RoomfsmError };

/**
 * Get ready to enter the rooms of a server. The connection is made when a room is entered.
 * @param {string | URL} url the address of the server, such as `https://rooms.example.org`
 * @param {{ WebSocket?: typeof WebSocket, credentials?: Credentials }} [options] `WebSocket`: another one than the
 *   browser's. `credentials`: what keeps tokens and passwords, if they shall outlive this object
 * @returns {Client}
 * @throws {RoomfsmError} `bad_address`, `insecure_server`
 */
export function connect(url, options = {}) {
  return new Client(addressOf(url), options);
}
