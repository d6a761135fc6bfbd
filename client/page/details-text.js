// The technical details as plain text for a report about a fault. It is English in every language of the page, because
// those who mend faults compare such reports.

/** @import {Path, Rates} from '../media/readings.js' */
/** @import {Entry} from '../room/record.js' */

/**
 * @typedef {{
 *   at: Date,
 *   browser: string,
 *   server: string,
 *   session: string,
 *   connection: string,
 *   room: string,
 *   streams: { title: string, state: string, minute: Rates[] }[],
 *   record: readonly Entry[],
 * }} Details
 */

/** @param {Details} details */
export function textOf({ at, browser, server, session, connection, room, streams, record }) {
  return [
    `roomfsm, ${at.toISOString()}`,
    `browser     ${browser}`,
    `server      ${server}`,
    `session     ${session}`,
    `connection  ${connection}, room ${room}`,
    ...streams.flatMap(ofStream),
    '',
    'what this page saw',
    ...record.map(({ at, what }) => `  ${new Date(at).toISOString().slice(11, 23)} ${what}`),
    '',
  ].join('\n');
}

/** @param {Details['streams'][number]} stream */
function ofStream({ title, state, minute }) {
  const now = minute.at(-1);
  const lines = ['', `${title}: ${state}`];
  if (!now) return [...lines, '  nothing is known yet'];
  return [
    ...lines,
    `  picture     ${now.size ? `${now.size.width}x${now.size.height}` : '-'}`,
    `  codecs      ${now.codecs.join(', ') || '-'}`,
    `  path        ${now.path ? pathName(now.path) : '-'}`,
    `  frames/s    ${row(minute, ({ frames }) => frames, 0)}`,
    `  kbit/s      ${row(minute, ({ picture }) => kilo(picture), 0)} (picture)`,
    `              ${row(minute, ({ sound }) => kilo(sound), 0)} (sound)`,
    `  lost %      ${row(minute, ({ loss }) => (loss === null ? null : 100 * loss), 1)}`,
    `  trip ms     ${row(minute, ({ roundTrip }) => (roundTrip === null ? null : 1000 * roundTrip), 0)}`,
  ];
}

/** @param {Path} path */
export function pathName({ transport, relay }) {
  return relay === null ? transport : `relay by ${relay}`;
}

/** @param {number | null} bits */
function kilo(bits) {
  return bits === null ? null : bits / 1000;
}

/**
 * The value now, and the least, the middle and the greatest one of the last minute.
 * @param {readonly Rates[]} minute
 * @param {(rates: Rates) => number | null} of
 * @param {number} digits
 */
function row(minute, of, digits) {
  const known = minute.map(of).filter((value) => value !== null);
  const last = minute.length > 0 ? of(/** @type {Rates} */ (minute.at(-1))) : null;
  if (known.length === 0) return '-';
  const sorted = [...known].sort((a, b) => a - b);
  const [least, middle, most] = [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  const told = (/** @type {number | null | undefined} */ value) => value?.toFixed(digits) ?? '-';
  return `${told(last)}, in the last minute ${told(least)} / ${told(middle)} / ${told(most)}`;
}
