// Sentences for the user about the codes and reasons of the protocol.

import { LinkFailure } from './media-link.js';
import { ConnectionLost, ProtocolError } from './protocol.js';

/** @import {ErrorCode} from './messages.d.ts' */

/** @type {Record<ErrorCode, string>} */
const REFUSALS = {
  malformed: 'The server did not accept the message.',
  unknown_message: 'The server does not know this request. Reload the page, which may be newer or older than the server.',
  illegal_in_state: 'That is not possible at the moment.',
  rate_limited: 'That was too much in a short time. Wait a moment, then try again.',
  server_full: 'The server is full.',
  server_closing: 'The server is shutting down.',
  too_many_rooms: 'You, or the people of your network, have reached the limit of open rooms. Try again later.',
  room_full: 'The room is full.',
  already_in_room: 'You are already in this room.',
  too_many_presenters: 'This room cannot have more presenters. Wait until one of them stops.',
  already_publishing: 'You already present this.',
  too_many_views: 'You are watching as many streams as you can. Hide one first.',
  already_viewing: 'You are already watching this.',
  not_viewing: 'You are not watching this.',
  no_such_stream: 'This stream is over.',
  own_stream: 'You cannot watch your own stream.',
  not_your_stream: 'Only its presenter can end this stream.',
  too_many_candidates: 'The browser offered more network paths than the server takes.',
  sdp_invalid: 'The server cannot use the media that the browser offers.',
  media_unavailable: 'No media server can be reached at the moment.',
  media_full: 'The media servers cannot carry more streams. Try again later.',
  media_failed: 'The media server could not do this.',
  ended: 'The stream ended before it could begin.',
  session_unknown: 'Your earlier session is over.',
  room_closed: 'The room was closed.',
};

/** @type {Record<string, string>} */
const FAILURES = {
  media_lost: 'the media server lost it',
  media_unavailable: 'no media server can be reached at the moment',
  media_full: 'the media servers cannot carry more streams',
  failed: 'the media server could not keep it going',
  no_media_path: 'no network path to the media server was found',
  ice_servers: 'the browser cannot use the STUN or TURN servers of this server (please tell its operator)',
};

/** @type {Record<number, string>} */
const CLOSINGS = {
  1008: 'The server refused the connection.',
  4003: 'Too many people of your network are connected. The page tries again.',
  4001: 'You continued this session in another window, so it ended here.',
};

/** For these codes the detail says more than the code. */
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
  if (error instanceof ConnectionLost) return 'There is no connection to the server at the moment.';
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
