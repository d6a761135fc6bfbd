// Whose picture is large, by the news of who speaks. It must be calm: a cough, a "yes" or two people who talk over each
// other must not move pictures. So who is large stays so while speaking and for a while after; another takes the place
// only by speaking on, and not before the last change is some time ago.

/** Milliseconds that another has to speak before that person becomes large. */
export const SPEAKS_FOR = 1_000;
/** Milliseconds of silence after which the place of the large one is free. */
export const SILENT_FOR = 1_500;
/** Milliseconds between two changes. */
export const HELD_FOR = 4_000;

/**
 * `current` is the person who is large; null is nobody. `changed` is the time when that person became large. `heard` is
 * the time when that person fell silent; null while the person speaks. `since` has, for each other person who speaks, the
 * time when that person began.
 * @typedef {{
 *   current: string | null,
 *   changed: number,
 *   heard: number | null,
 *   since: ReadonlyMap<string, number>,
 * }} Floor
 */

/** Nobody has spoken. @type {Floor} */
export const SILENCE = { current: null, changed: -Infinity, heard: null, since: new Map() };

/**
 * @param {Floor} floor
 * @param {{ speaking: ReadonlySet<string>, present: ReadonlySet<string>, now: number }} news `present`: whose picture
 *   could be large; `now` in milliseconds
 * @returns {Floor}
 */
export function follow({ current, changed, heard, since }, { speaking, present, now }) {
  const there = current !== null && present.has(current) ? current : null;
  const voices = new Map(
    [...speaking].filter((id) => present.has(id)).map((id) => [id, since.get(id) ?? now]),
  );
  /** @type {Floor} */
  const next = {
    current: there,
    changed: there === null ? -Infinity : changed,
    heard: there === null || voices.has(there) ? null : (heard ?? now),
    since: voices,
  };
  const other = longestOf(next);
  if (other === null || now < dueAt(next, other)) return next;
  return { current: other, changed: now, heard: null, since: voices };
}

/**
 * When `follow` would change who is large, if nobody begins or ceases to speak before.
 * @param {Floor} floor
 * @returns {number | null} milliseconds of the same clock as `now`; null if it would not
 */
export function changesAt(floor) {
  const other = longestOf(floor);
  if (other === null) return null;
  const due = dueAt(floor, other);
  return Number.isFinite(due) ? due : null;
}

/**
 * @param {Floor} floor
 * @returns {string | null} of the others who speak, the one who has spoken for the longest time
 */
function longestOf({ current, since }) {
  const [first] = [...since].filter(([id]) => id !== current).sort(([, a], [, b]) => a - b);
  return first?.[0] ?? null;
}

/**
 * @param {Floor} floor
 * @param {string} other
 */
function dueAt({ current, changed, heard, since }, other) {
  const spoken = since.get(other) ?? Infinity;
  if (current === null) return spoken;
  if (heard === null) return Infinity;
  return Math.max(spoken + SPEAKS_FOR, heard + SILENT_FOR, changed + HELD_FOR);
}
