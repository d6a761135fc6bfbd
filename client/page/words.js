// Puts into words what happens: news of the room, codes and reasons of the protocol, refused devices. The texts
// themselves stand in words-en.js and in the files of the other languages.

import { ConnectionLost, ProtocolError } from '../wire/connection.js';
import { DeviceError } from '../media/devices.js';
import { LinkFailure } from '../media/link.js';
import { UploadError } from '../room/upload.js';
import { fill, say, sayIfKnown } from './say.js';

/** @import {NameAnswer, RoomSummary} from '../wire/api.d.ts' */
/** @import {RoomNews} from '../room/room.js' */
/** @import {Key} from './say.js' */

/** For these codes the detail is more useful than the text for the code. */
const DETAILED = new Set(['illegal_in_state', 'malformed', 'media_failed']);

/**
 * @param {unknown} error
 * @returns {string} a sentence, or more
 */
export function explain(error) {
  if (error instanceof ProtocolError) {
    const reason = refusal(error.code) ?? sentence(error.message);
    return DETAILED.has(error.code) ? say('refused.detail', { reason, detail: error.message }) : reason;
  }
  if (error instanceof UploadError) return sayIfKnown(`file.${error.code}`) ?? error.message;
  if (error instanceof ConnectionLost) return say('refused.no_connection');
  if (error instanceof DeviceError) return explainDevice(error);
  if (error instanceof LinkFailure) return sayIfKnown(`failed.${error.code}`) ?? say('failed.other', { code: error.code });
  return error instanceof Error ? error.message : String(error);
}

/** @param {import('../wire/messages.d.ts').ErrorCode} code */
function refusal(code) {
  // The type says that each code has its text. A newer server may have more codes.
  /** @type {Key} */
  const key = `refused.${code}`;
  return sayIfKnown(key);
}

/**
 * @param {RoomNews} news
 * @returns {string} a sentence, or more
 */
export function inWords(news) {
  switch (news.what) {
    case 'screenEnded':
    case 'screenSoundEnded':
    case 'noPlace':
    case 'serverCloses':
    case 'keptMuted':
    case 'mayBeHeard':
      return say(`news.${news.what}`);
    case 'deviceLost':
    case 'endedByModerator':
      return say(`news.${news.what}`, { label: say(`device.${news.label}`) });
    case 'publishFailed':
      return say('news.publishFailed', { label: say(`device.${news.label}`), reason: explain(news.error), next: next(news.givenUp) });
    case 'viewFailed':
      return say('news.viewFailed', {
        name: calledOr(news.name),
        source: say(`device.${news.source}`),
        reason: explain(news.error),
        next: next(news.givenUp),
      });
    case 'deviceRefused':
    case 'unpublishFailed':
    case 'refused':
      return explain(news.error);
    case 'enteredNameless':
      return say('news.enteredNameless', { fault: news.fault });
    case 'notEntered':
      return say(news.again ? 'news.notEnteredYet' : 'news.notEntered', {
        room: news.room,
        reason: explain(news.error),
      });
    case 'notSwitched':
      return say('news.notSwitched', { room: news.room, reason: explain(news.error) });
    case 'waiting':
      return say('news.waiting', { room: news.room });
    case 'serverDrains':
      return say('news.serverDrains', { duration: duration(news.seconds) });
    case 'roomCloses':
      return news.reason ? say('news.roomClosesBecause', { reason: news.reason }) : say('news.roomCloses');
    case 'putOut':
      return sayIfKnown(`news.putOut.${news.reason}`) ?? say('news.putOut');
    case 'muted':
      return say(news.hold ? 'news.mutedAndHeld' : 'news.muted', { by: calledOr(news.by) });
    case 'connectionEnded':
      return sayIfKnown(`news.connectionEnded.${news.code}`) ?? say('news.connectionEnded');
  }
}

/** @param {number} seconds */
function duration(seconds) {
  return seconds < 100
    ? say('duration.seconds', { count: seconds })
    : say('duration.minutes', { count: Math.round(seconds / 60) });
}

/** @param {boolean} givenUp */
function next(givenUp) {
  return say(givenUp ? 'next.givenUp' : 'next.again');
}

/**
 * @param {string} name
 * @param {string} fault what is wrong with it, in a sentence
 * @returns {string} the same for somebody who followed an address
 */
export function cannotBeARoom(name, fault) {
  if (name === '') return say('room.nameEmpty', { fault });
  const characters = [...name];
  const shown = characters.length > 64 ? `${characters.slice(0, 64).join('')}…` : name;
  return say('room.nameWrong', { name: shown, fault: sentence(fault) });
}

/**
 * @param {RoomSummary} room
 * @returns {string} as in "3 people, 1 live"
 */
export function describeRoom({ participants, streams }) {
  const people = say('people.count', { count: participants });
  return streams === 0 ? say('room.quiet', { people }) : say('room.live', { people, streams });
}

/** @param {DeviceError} error */
function explainDevice({ what, reason, message }) {
  const device = say(`device.${what}`);
  switch (reason) {
    case 'insecure_page':
      return say('device.insecure');
    case 'unsupported':
      return what === 'screen' ? say('device.screenUnsupported') : say('device.unsupported', { device });
    case 'NotAllowedError':
    case 'SecurityError':
      return what === 'screen' ? say('device.screenNotAllowed') : say('device.notAllowed', { device });
    case 'NotFoundError':
      return say('device.notFound', { device });
    case 'NotReadableError':
      return say('device.notReadable', { device });
    case 'OverconstrainedError':
      return say('device.overconstrained', { device });
    case 'AbortError':
      return say('device.aborted', { device });
    default:
      return say('device.other', { device, message });
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

/**
 * @param {string} name of a person; empty: nobody knows it any more
 * @returns {string} how the person is called on the page
 */
export function calledOr(name) {
  return name || say('person.unknown');
}

/**
 * @param {NameAnswer} answer
 * @returns {string | undefined} why there can be no such name, in a sentence; undefined: there can
 */
export function nameFault(answer) {
  if (answer.fault === undefined) return undefined;
  const { fault, code, values = {} } = answer;
  const text = code === undefined ? undefined : sayIfKnown(`name.${code}`);
  return text === undefined ? fault : fill(text, values);
}
