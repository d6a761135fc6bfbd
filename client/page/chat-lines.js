// How the lines of the chat are arranged: grouped by who says them, divided by days, and with marks where the lines
// from before end and where the new ones begin. There is no document here.

import { keyOf } from '../room/state.js';

/** @import {ChatLine} from '../wire/messages.d.ts' */

/** Somebody who goes on within so many milliseconds is not named again. */
const GOES_ON_WITHIN = 5 * 60_000;
/** A text longer than this, in characters or in lines, is folded. */
const LONG = { characters: 1_000, lines: 12 };

/**
 * `line`: one of the chat, `continued` if it needs no name and time of its own; `before` the room was opened anew.
 * Or a divider: where a `day` begins, where the lines from `before` end, or where the `new` ones begin.
 * @typedef {(
 *   { key: string, line: ChatLine, continued: boolean, before: boolean } |
 *   { key: string, divider: 'day' | 'before' | 'new', at: number }
 * )} Item
 */

/**
 * @param {ChatLine[]} before the lines from before the room was opened anew
 * @param {ChatLine[]} lines
 * @param {string | null} firstNew the key of the first line that has not been seen
 * @returns {Item[]}
 */
export function arrange(before, lines, firstNew) {
  /** @type {Item[]} */
  const items = [];
  /** @type {ChatLine | null} */
  let last = null;
  /** @param {ChatLine} line @param {boolean} old */
  const add = (line, old) => {
    const key = old ? `before ${keyOf(line)} ${line.at}` : keyOf(line);
    const day = dayOf(line.at);
    if (last === null ? day !== dayOf(Date.now()) : day !== dayOf(last.at)) {
      items.push({ key: `day ${old} ${day} ${key}`, divider: 'day', at: line.at });
      last = null;
    }
    if (!old && key === firstNew) {
      items.push({ key: 'new', divider: 'new', at: line.at });
      last = null;
    }
    items.push({ key, line, continued: last !== null && goesOn(last, line), before: old });
    last = line;
  };
  for (const line of before) add(line, true);
  if (before.length > 0) {
    items.push({ key: 'before', divider: 'before', at: before.at(-1)?.at ?? 0 });
    last = null;
  }
  for (const line of lines) add(line, false);
  return items;
}

/**
 * @param {ChatLine} last
 * @param {ChatLine} line
 */
function goesOn(last, line) {
  return (
    last.participant === line.participant &&
    last.name === line.name &&
    last.to === line.to &&
    line.replyTo === undefined &&
    line.at - last.at < GOES_ON_WITHIN
  );
}

/** @param {number} at milliseconds since 1970 */
function dayOf(at) {
  const date = new Date(at);
  return `${date.getFullYear()}-${date.getMonth()}-${date.getDate()}`;
}

/** @param {string} text */
export function isLong(text) {
  if (text.length > LONG.characters) return true;
  let lines = 1;
  for (const character of text) if (character === '\n' && (lines += 1) > LONG.lines) return true;
  return false;
}
