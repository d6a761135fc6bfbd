// Codes and reasons of the protocol, said to the user in words.

import { LinkFailure } from './media-link.js';
import { ConnectionLost, ProtocolError } from './protocol.js';

/** @import {ErrorCode} from './messages.d.ts' */

/** @type {Record<ErrorCode, string>} */
const REFUSALS = {
  malformed: 'The server did not accept what was sent.',
  unknown_message: 'The server does not know this request; the page may be newer than the server.',
  illegal_in_state: 'That is not possible at the moment.',
  rate_limited: 'That was too much in a short time. Wait a moment.',
  server_full: 'The server is full.',
  server_closing: 'The server is going down.',
  too_many_rooms: 'You, or people of your network, have as many rooms open as they may have. Try again later.',
  room_full: 'The room is full.',
  already_in_room: 'You are in this room already.',
  too_many_presenters: 'As many people present in this room as may.',
  already_publishing: 'You already present this.',
  too_many_views: 'You already watch as many streams as you may. Hide one first.',
  already_viewing: 'You already watch this.',
  not_viewing: 'You do not watch this.',
  no_such_stream: 'This stream is over.',
  own_stream: 'You cannot watch your own stream.',
  not_your_stream: 'Only its presenter can end this stream.',
  too_many_candidates: 'The browser offered more network paths than the server takes.',
  sdp_invalid: 'The server cannot use what the browser offered.',
  media_unavailable: 'No media server can be reached at the moment.',
  media_full: 'The media servers carry as many streams as they can. Try again later.',
  media_failed: 'The media server could not do this.',
  ended: 'It ended before it began.',
  session_unknown: 'The earlier session is over.',
  room_closed: 'The room was closed.',
};

/** @type {Record<string, string>} */
const FAILURES = {
  media_lost: 'the media server lost it',
  media_unavailable: 'no media server can be reached at the moment',
  media_full: 'the media servers carry as many streams as they can',
  failed: 'the media server could not keep it going',
  no_media_path: 'no network path to the media server was found',
  ice_servers: 'the browser cannot use the STUN or TURN servers that this server names (its operator can mend that)',
};

/** @type {Record<number, string>} */
const CLOSINGS = {
  1008: 'The server refused the connection.',
  4003: 'Too many people of your network are connected. Trying again.',
  4001: 'This session goes on in another window, so it ended here.',
};

/** What is at fault, these say better in their detail than by their code. */
const DETAILED = new Set(['illegal_in_state', 'malformed', 'media_failed']);

/**
 * @param {unknown} error
 * @returns {string} a sentence, or more
 */
export function explain(error) {
  if (error instanceof ProtocolError) {
    const words = REFUSALS[error.code] ?? error.message;
    return DETAILED.has(error.code) ? `${words} (${error.message})` : words;
  }
  if (error instanceof ConnectionLost) return 'There is no connection to the server just now.';
  if (error instanceof LinkFailure)
    return `${capitalised(FAILURES[error.code] ?? `it ended (${error.code})`)}.`;
  return error instanceof Error ? error.message : String(error);
}

/**
 * @param {number} code of the websocket's end
 * @param {string} [reason]
 */
export function explainClosing(code, reason = '') {
  return (CLOSINGS[code] ?? 'The connection ended.') + (reason ? ` (${reason})` : '');
}

/** @param {string} text */
function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
