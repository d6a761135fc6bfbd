// What lives through a table: the interpreter of the page's machines.
//
// A table is literal data: its states, and rows that say in which states (`sources`) which event (`triggers`) leads
// where (`dest`, or '=': it stays), if all `guards` hold, and what is done then (`effects`, in order). The first row
// that fits is taken; an event without one changes nothing, because it is not legal then. So a table answers what may
// be done now, too (`can`): which buttons are enabled is read off it, and no other file compares states.
//
// A machine's owner carries out guards and effects, by their names. An effect may fire the machine again: it finds
// the new state, so effects that tell others stand last. roomfsm draws the tables and makes docs/lifecycle.md of them:
// a table stands in a file of its own, between parentheses, as JSON, which both JavaScript and Python read.

/**
 * @typedef {{
 *   triggers: readonly string[],
 *   sources: readonly string[],
 *   dest: string,
 *   guards: readonly string[],
 *   effects: readonly string[],
 * }} Row
 */

/**
 * `causes`: by trigger, what fires it. `effects`: by name, what is done.
 * @typedef {{
 *   name: string,
 *   meaning: string,
 *   states: readonly { name: string, meaning: string }[],
 *   rows: readonly Row[],
 *   causes: Readonly<Record<string, string>>,
 *   effects: Readonly<Record<string, string>>,
 * }} Table
 */

/**
 * @template {Table} T
 * @typedef {T['states'][number]['name']} StateOf
 */
/**
 * @template {Table} T
 * @typedef {T['rows'][number]['triggers'][number]} TriggerOf
 */
/**
 * @template {Table} T
 * @typedef {T['rows'][number]['guards'][number]} GuardOf
 */
/**
 * @template {Table} T
 * @typedef {T['rows'][number]['effects'][number]} EffectOf
 */

/**
 * @template {Table} T
 * @template Facts what a trigger comes with
 */
export class Machine {
  /** @type {StateOf<T>} the first one of the table at first; moved by `fire` alone */
  state;

  /**
   * @param {T} table
   * @param {{
   *   guards: Record<GuardOf<T>, (facts: Facts) => boolean>,
   *   effects: Record<EffectOf<T>, (facts: Facts) => void>,
   *   fired: () => void,
   * }} owner `fired`: a row was taken, and its effects are done
   */
  constructor(table, owner) {
    this.#table = table;
    this.#owner = owner;
    this.state = /** @type {StateOf<T>} */ (table.states[0]?.name);
  }
  #table;
  #owner;

  /**
   * @param {TriggerOf<T>} trigger
   * @returns {boolean} whether it is legal in the present state, guards aside
   */
  can(trigger) {
    return this.#rows(trigger).length > 0;
  }

  /**
   * @param {TriggerOf<T>} trigger
   * @param {Facts} facts
   * @returns {boolean} whether a row was taken
   */
  fire(trigger, facts) {
    const { guards, effects, fired } = this.#owner;
    const row = this.#rows(trigger).find((row) =>
      row.guards.every((guard) => guards[/** @type {GuardOf<T>} */ (guard)](facts)),
    );
    if (row === undefined) return false;
    if (row.dest !== '=') this.state = /** @type {StateOf<T>} */ (row.dest);
    for (const effect of row.effects) effects[/** @type {EffectOf<T>} */ (effect)](facts);
    fired();
    return true;
  }

  /** @param {TriggerOf<T>} trigger */
  #rows(trigger) {
    return this.#table.rows.filter((row) => row.triggers.includes(trigger) && row.sources.includes(this.state));
  }
}
