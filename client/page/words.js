// All texts for the user about what happens: news of the room, codes and reasons of the protocol, refused devices.

import { ConnectionLost, ProtocolError } from '../wire/connection.js';
import { DeviceError } from '../media/devices.js';
import { LinkFailure } from '../media/link.js';

/** @import {RoomSummary} from '../wire/api.d.ts' */
/** @import {ErrorCode} from '../wire/messages.d.ts' */
/** @import {RoomNews} from '../room/room.js' */

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
  not_your_stream: 'Only its presenter or a moderator can end this stream.',
  muted: 'A moderator has muted you, or your microphone is off.',
  participant_away: 'The connection of this person is lost at the moment. Try again when it is back.',
  no_such_line: 'This line was deleted, or is too old.',
  not_permitted: 'Your role in this room does not allow this.',
  no_such_participant: 'This person is no longer in the room.',
  yourself: 'You cannot do this to yourself.',
  not_banned: 'This person is not banned.',
  banned: 'A moderator does not let you enter this room for a time.',
  denied: 'A moderator did not let you in.',
  lobby_full: 'Too many people wait to enter this room.',
  locked: 'A moderator has locked the room.',
  too_many_candidates: 'The browser offered more network paths than the server takes.',
  sdp_invalid: 'The server cannot use the media that the browser offers.',
  media_unavailable: 'No media server can be reached at the moment.',
  media_full: 'The media servers cannot carry more streams. Try again later.',
  media_failed: 'The media server could not do this.',
  ended: 'The stream ended before it could begin.',
  session_unknown: 'Your earlier session is over.',
  token_invalid: 'This room needs an invitation. Open it by the link that you were given, or ask for a new one.',
  token_expired: 'Your invitation to this room has expired. Ask for a new one.',
  password_wrong: 'This is not the password of the room.',
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

/** Why somebody is not in the room any more. @type {Record<string, string>} */
const PUT_OUT = {
  banned: 'A moderator put you out of the room, and does not let you enter it for a time.',
  closed: 'A moderator has closed the room.',
};

/** By the websocket's close code. @type {Record<number, string>} */
const CLOSINGS = {
  1008: 'The server refused the connection.',
  4003: 'Too many people of your network are connected. The page tries again.',
  4001: 'You continued this session in another window, so it ended here.',
};

/** For these codes the detail is more useful than the text for the code. */
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
  if (error instanceof DeviceError) return explainDevice(error);
  if (error instanceof LinkFailure)
    return `${capitalised(FAILURES[error.code] ?? `it ended (${error.code})`)}.`;
  return error instanceof Error ? error.message : String(error);
}

/**
 * @param {RoomNews} news
 * @returns {string} a sentence, or more
 */
export function inWords(news) {
  switch (news.what) {
    case 'noMicrophone':
      return 'No microphone was found. You send only the picture.';
    case 'microphoneEnded':
      return 'The microphone stopped. The picture continues.';
    case 'deviceEnded':
      return `Your ${news.label} was stopped by the browser or unplugged.`;
    case 'endedByModerator':
      return `A moderator has ended your ${news.label}.`;
    case 'publishFailed':
      return `Your ${news.label} does not reach the room. ${explain(news.error)} ${whatNext(news.givenUp)}`;
    case 'viewFailed':
      return `${news.name}’s ${news.source} cannot be received. ${explain(news.error)} ${whatNext(news.givenUp)}`;
    case 'unpublishFailed':
    case 'refused':
      return explain(news.error);
    case 'enteredNameless':
      return `You enter without your name. ${news.fault}`;
    case 'notEntered':
      return news.again
        ? `You are not in “${news.room}” yet. ${explain(news.error)} The page tries again.`
        : `You cannot enter “${news.room}”. ${explain(news.error)}`;
    case 'notSwitched':
      return `You cannot go to “${news.room}”. ${explain(news.error)}`;
    case 'waiting':
      return `“${news.room}” has a lobby. A moderator has been told that you wait, and decides whether you enter.`;
    case 'serverDrains':
      return `The server closes in ${duration(news.seconds)}. The page then connects again as soon as it can.`;
    case 'serverCloses':
      return 'The server is shutting down. The page connects again as soon as it can.';
    case 'roomCloses': {
      const why = news.reason ? ` (${news.reason})` : '';
      return `The room is closing${why}. The page enters it again as soon as it can.`;
    }
    case 'putOut':
      return PUT_OUT[news.reason ?? ''] ?? 'A moderator put you out of the room.';
    case 'muted':
      return news.hold
        ? `${news.by} has muted you. Raise your hand to ask for the word.`
        : `${news.by} has muted you. Turn your microphone on again when you want to speak.`;
    case 'keptMuted':
      return 'A moderator keeps you muted. Raise your hand to ask for the word.';
    case 'mayBeHeard':
      return 'You may turn your microphone on again.';
    case 'connectionEnded':
      return CLOSINGS[news.code] ?? 'The connection ended.';
  }
}

/** @param {number} seconds */
function duration(seconds) {
  const [number, unit] = seconds < 100 ? [seconds, 'second'] : [Math.round(seconds / 60), 'minute'];
  return number === 1 ? `1 ${unit}` : `${number} ${unit}s`;
}

/** @param {boolean} givenUp */
function whatNext(givenUp) {
  return givenUp ? 'The page does not try again by itself.' : 'The page tries again.';
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
 * @param {RoomSummary} room
 * @returns {string} as in "3 people, 1 stream"
 */
export function describeRoom({ participants, streams }) {
  const people = participants === 1 ? '1 person' : `${participants} people`;
  if (streams === 0) return `${people}, nothing on air`;
  return `${people}, ${streams === 1 ? '1 stream' : `${streams} streams`}`;
}

/** @param {DeviceError} error */
function explainDevice({ what, reason, message }) {
  const device = { camera: 'camera and microphone', microphone: 'microphone', screen: 'screen' }[what];
  switch (reason) {
    case 'insecure_page':
      return (
        'The browser lets a page use the camera, the microphone or the screen only over https or on this very ' +
        'computer. Open this page by its https address.'
      );
    case 'unsupported':
      return 'This browser cannot share the screen.';
    case 'NotAllowedError':
    case 'SecurityError':
      return what === 'screen'
        ? 'The screen is not shared, because you did not allow it or did not choose a window.'
        : `The browser may not use the ${device}. Allow it in the address bar, then try again.`;
    case 'NotFoundError':
      return what === 'camera'
        ? 'No camera was found. “Microphone only” may work.'
        : `No ${device} was found.`;
    case 'NotReadableError':
      return `The ${device} cannot be used. Perhaps another program is using it.`;
    case 'OverconstrainedError':
      return `The ${device} does not support the settings that this page needs.`;
    case 'AbortError':
      return `The ${device} stopped working while it was being started. Try again.`;
    default:
      return `The ${device} could not be started (${message}).`;
  }
}

/**
 * @param {string} text what a server says, which may not look like a sentence
 * @returns {string}
 */
function sentence(text) {
  return /[.!?…]$/.test(text) ? capitalised(text) : `${capitalised(text)}.`;
}

/** @param {string} text */
function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
