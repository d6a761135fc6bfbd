// The interpreter of the page's machines, which are tables.
//
// A table is literal data: its states and its rows. A row says in which states (`sources`) which events
// (`triggers`) lead to which state (`dest`, or '=' to stay), if all `guards` hold, and which `effects` follow in
// order. The first row that fits is taken. An event without a fitting row changes nothing, because it is not legal
// then. So a table also says what may be done now (`can`). The page enables its buttons by that, and no other file
// compares states.
//
// A machine's owner implements guards and effects by their names. An effect may fire the machine again and then
// finds the new state, so effects that report to others come last. roomfsm draws the tables and generates
// docs/lifecycle.md from them. For that, each table is in a file of its own, as JSON between parentheses, which
// both JavaScript and Python can read.

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
 * `causes` describes by trigger what fires it. `effects` describes the effects by name.
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
  /** @type {StateOf<T>} the present state. It begins with the first one of the table, and only `fire` changes it */
  state;

  /**
   * @param {T} table
   * @param {{
   *   guards: Record<GuardOf<T>, (facts: Facts) => boolean>,
   *   effects: Record<EffectOf<T>, (facts: Facts) => void>,
   *   fired: () => void,
   * }} owner `fired` is called after a row was taken and its effects are done
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
