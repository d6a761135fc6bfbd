// A file in a line of the chat: a picture, small and in a place of a fixed height, so that nothing moves when it comes,
// and a link that saves the file, with its name and size. Only what the server has recognized as a picture is shown.

import { backoff } from '../wire/backoff.js';
import { BASE } from '../wire/base.js';
import { bdi, element, icon, name } from './dom.js';
import { say, sayDate, saySize } from './say.js';

/** @import {FileInfo} from '../wire/messages.d.ts' */

/** @type {Intl.DateTimeFormatOptions} */
const UNTIL = { dateStyle: 'short', timeStyle: 'short' };
/** The longest time of a browser's timer, in milliseconds. A file that stays longer outlives the page. */
const LONGEST = 2 ** 31 - 1;
/**
 * A file that the server still has after its time is looked for again after so many milliseconds: soon, because the
 * server may only be busy, and then ever later.
 */
const AGAIN = { first: 2_000, most: 60_000 };

/**
 * @param {FileInfo} file
 * @param {boolean} gone the room was opened anew, and has no files of before
 * @returns {HTMLElement}
 */
export function fileOf(file, gone) {
  const root = element('div', { class: 'chat-file' });
  if (gone) {
    root.append(formerly(file));
    return root;
  }
  const address = `${BASE}/${file.path}`;
  const link = saves(file, address);
  const end = () => root.replaceChildren(formerly(file));
  if (file.mediaType.startsWith('image/')) root.append(picture(file, address, end));
  root.append(link);
  if (file.until !== undefined) endAt(file.until - Date.now(), root, address, end);
  return root;
}

/**
 * Show that the file is gone when its time is over, and the server says so: the clock of this computer may be wrong.
 * @param {number} left milliseconds
 * @param {HTMLElement} root
 * @param {string} address
 * @param {() => void} end
 * @param {number} [tries] how many times it was looked for
 */
function endAt(left, root, address, end, tries = 0) {
  if (left > LONGEST) return;
  setTimeout(
    async () => {
      if (!root.isConnected) return;
      if (await isGone(address)) end();
      else endAt(backoff(tries + 1, AGAIN), root, address, end, tries + 1);
    },
    Math.max(left, 0),
  );
}

/**
 * @param {FileInfo} file
 * @param {string} address
 */
function saves(file, address) {
  const link = /** @type {HTMLAnchorElement} */ (element('a', { class: 'file-link', testid: 'chat-file' }, ...called(file)));
  link.href = address;
  link.download = file.name;
  // What is read aloud is what is seen (WCAG 2.5.3); the title only says what a click does.
  const size = saySize(file.size);
  if (file.until === undefined) {
    link.title = say('file.save', { name: file.name, size });
  } else {
    const time = sayDate(file.until, UNTIL);
    link.title = say('file.saveUntil', { name: file.name, size, time });
    link.append(remark(say('file.until', { time })));
  }
  return link;
}

/**
 * What is left of a file that can be fetched no more.
 * @param {FileInfo} file
 */
function formerly(file) {
  return element('span', { class: 'file-link' }, ...called(file), remark(say('file.gone')));
}

/** @param {FileInfo} file */
function called(file) {
  return [icon('file'), bdi(file.name, { class: 'file-name' }), remark(saySize(file.size))];
}

/** @param {string} text */
function remark(text) {
  return element('span', { class: 'file-size', text });
}

/**
 * Whether the server has the file no more. It may also be too busy, or out of reach.
 * @param {string} address
 */
async function isGone(address) {
  try {
    return (await fetch(address, { method: 'HEAD' })).status === 404;
  } catch {
    return false;
  }
}

/**
 * @param {FileInfo} file
 * @param {string} address
 * @param {() => void} onGone
 */
function picture(file, address, onGone) {
  const image = /** @type {HTMLImageElement} */ (element('img'));
  const shows = element('button', { class: 'file-picture', testid: 'chat-picture' }, image);
  name(shows, say('file.show', { name: file.name }));
  image.alt = '';
  image.loading = 'lazy';
  image.decoding = 'async';
  image.addEventListener('error', async () => {
    shows.remove();
    if (await isGone(address)) onGone();
  });
  image.src = address;
  shows.addEventListener('click', async () => {
    const { showPicture } = await import('./picture-dialog.js');
    showPicture(file.name, address);
  });
  return shows;
}
