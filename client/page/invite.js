// Gives the user the link to a room, for others: by the device's own sharing on phones, by the clipboard, or to be read.

import { roomPath } from '../room/names.js';
import { say } from './say.js';

/** @import {Notices} from './notices.js' */

const TOPIC = 'invite';

/**
 * @param {string} room
 * @param {Notices} notices
 */
export async function invite(room, notices) {
  const url = new URL(roomPath(room), location.href).href;
  try {
    if (matchMedia('(pointer: coarse)').matches && typeof navigator.share === 'function') {
      await navigator.share({ title: room, url });
      return;
    }
    await navigator.clipboard.writeText(url);
    notices.show({ text: say('invite.copied'), kind: 'info', topic: TOPIC });
  } catch (error) {
    // The user has closed the list of ways to share.
    if (error instanceof DOMException && error.name === 'AbortError') return;
    // There is no clipboard without https, nor in a frame that may not use it.
    console.debug('not shared and not copied', error);
    notices.show({ text: say('invite.byHand', { url }), kind: 'info', topic: TOPIC, lasting: true });
  }
}
