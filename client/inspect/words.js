// Texts for durations, sizes and entries of the journal.

/** @import {Entry} from './inspection.d.ts' */

/**
 * @param {number} seconds
 * @returns {string} short: '0.4 s', '12 s', '3 min 5 s', '2 h 4 min', '3 d 2 h'
 */
export function duration(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds + 0.05);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return two(minutes, 'min', whole % 60, 's');
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? two(hours, 'h', minutes % 60, 'min') : two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/**
 * @param {number} large
 * @param {string} unit
 * @param {number} small
 * @param {string} part
 */
function two(large, unit, small, part) {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${part}`;
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * @param {number} seconds since the room opened
 * @returns {string} as on a stop watch: '1:02:03.456'
 */
export function stopwatch(seconds) {
  const thousandths = Math.round(seconds * 1000);
  const [hours, minutes, rest] = [
    Math.floor(thousandths / 3_600_000),
    Math.floor(thousandths / 60_000) % 60,
    thousandths % 60_000,
  ];
  const second = `${String(Math.floor(rest / 1000)).padStart(2, '0')}.${String(rest % 1000).padStart(3, '0')}`;
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${second}` : `${minutes}:${second}`;
}

/** Fields of messages that are of no use to a reader of the journal. */
const LEFT_OUT = new Set(['type', 'ref', 'sdpMid', 'sdpMLineIndex', 'usernameFragment']);

/**
 * The fields of an entry's message besides its type, in one line.
 * @param {Entry} entry
 * @returns {string}
 */
export function details({ message }) {
  if (!message) return '';
  return Object.entries(message)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}

/**
 * @param {Entry} entry
 * @returns {string} what followed: effects, or the refusal with its reason
 */
export function outcome({ refused, effects }) {
  if (!refused) return (effects ?? []).join(', ');
  const by = refused.machine ? ` (${refused.machine} is ${refused.state})` : '';
  return `refused: ${refused.code}${by}`;
}
