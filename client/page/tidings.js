// This module decides what a screen reader says about a room: who comes and goes, is live, raises a hand or speaks up. It
// compares the room with the room as it was when something was last said. So a crowd of newcomers is one line, and somebody
// who comes and goes in between is not mentioned. The module does not use the document.

/** @import {RoomState} from '../room/state.js' */

/** @typedef {{ name: string, hand: boolean, live: boolean, speaks: boolean }} Seen */
/** The people of a room by their ids, without oneself. @typedef {ReadonlyMap<string, Seen>} Scene */
/** @typedef {'came' | 'left' | 'live' | 'hand' | 'speaks'} Event */
/** `names` are the first of those whom it concerns, and `others` counts the rest. @typedef {{ event: Event, names: string[], others: number }} Tiding */

/** So many names are told of one event. */
export const NAMED = 3;
/** A room with more people than this is a crowd. */
const FEW = 12;
/** Milliseconds between two tellings, in a small room and in a crowd. */
const SPACING = { few: 1_000, crowd: 15_000 };
/** Milliseconds after which somebody who has spoken speaks up again. */
export const SILENT_FOR = 30_000;

/**
 * @param {RoomState} state
 * @returns {Scene}
 */
export function sceneOf({ you, participants, streams, speaking }) {
  const live = new Set([...streams.values()].map(({ participant }) => participant));
  return new Map(
    [...participants.values()]
      .filter(({ id }) => id !== you)
      .map(({ id, name, hand }) => [
        id,
        { name, hand: hand !== undefined, live: live.has(id), speaks: speaking.has(id) },
      ]),
  );
}

/**
 * @param {number} people
 * @returns {number} milliseconds to wait for more before anything is told
 */
export function spacing(people) {
  return people > FEW ? SPACING.crowd : SPACING.few;
}

export class Tidings {
  /** @type {Scene | null} */
  #told = null;
  /** When each person was heard last. @type {Map<string, number>} */
  #heard = new Map();

  /**
   * What is there already is not news.
   * @param {Scene | null} scene null: no room
   */
  begin(scene) {
    this.#told = scene;
    this.#heard = new Map();
  }

  /**
   * @param {Scene} now
   * @param {number} at in milliseconds
   * @returns {Tiding[]} what is new since the last time
   */
  next(now, at) {
    const before = this.#told ?? now;
    this.#told = now;
    /** @type {Record<Event, string[]>} */
    const found = { came: [], left: [], live: [], hand: [], speaks: [] };
    for (const [id, { name }] of before) if (!now.has(id)) found.left.push(name);
    for (const [id, { name, live, hand, speaks }] of now) {
      const old = before.get(id);
      if (!old) found.came.push(name);
      if (live && !old?.live) found.live.push(name);
      if (hand && !old?.hand) found.hand.push(name);
      if (speaks && !old?.speaks && at - (this.#heard.get(id) ?? -Infinity) > SILENT_FOR) found.speaks.push(name);
      if (speaks || old?.speaks) this.#heard.set(id, at);
    }
    for (const id of this.#heard.keys()) if (!now.has(id)) this.#heard.delete(id);
    return /** @type {Event[]} */ (Object.keys(found))
      .filter((event) => found[event].length > 0)
      .map((event) => ({
        event,
        names: found[event].slice(0, NAMED),
        others: Math.max(0, found[event].length - NAMED),
      }));
  }
}
