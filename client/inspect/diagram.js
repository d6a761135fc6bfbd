// A machine's live diagram. It highlights the present states, and shows visits and times of states and counts of
// arrows.

import { BASE } from '../wire/base.js';
import { element } from '../page/dom.js';
import { duration } from './words.js';

/** @import {Entry, MachineName, MachineSeen, PageMachineName} from './inspection.d.ts' */

/** How long an arrow is marked after its transition, in milliseconds. */
const FIRED = 1200;

/** Pixels above a state that was scrolled into view. */
const MARGIN = 24;

export class Diagram {
  root = element('div', { class: 'machine' });

  /** @type {SVGSVGElement | null} */
  #svg = null;
  /** @type {MachineSeen | null} */
  #seen = null;
  #seenAt = 0;

  /** @param {MachineName | 'server' | 'node' | PageMachineName} machine */
  constructor(machine) {
    this.#single = machine === 'room' || machine === 'server' || machine === 'node';
    this.root.dataset['machine'] = machine;
    void this.#load(machine);
  }
  #single;

  /** @param {MachineSeen} seen */
  show(seen) {
    this.#seen = seen;
    this.#seenAt = performance.now();
    this.#draw();
  }

  /** Continue the clocks of the present states between two updates. */
  tick() {
    if (this.#svg && this.#seen) this.#drawDwell(this.#svg, this.#seen);
  }

  /**
   * Mark the arrows and table lines of transitions that were just taken.
   * @param {Entry[]} entries
   */
  fire(entries) {
    for (const { source, dest, trigger, refused } of entries) {
      if (refused) continue;
      const taken =
        source === dest
          ? this.#svg?.querySelector(`.stay[data-state="${source}"][data-trigger="${trigger}"]`)
          : this.#svg?.querySelector(`.move[data-from="${source}"][data-to="${dest}"]`);
      if (!taken) continue;
      taken.classList.add('fired');
      setTimeout(() => taken.classList.remove('fired'), FIRED);
    }
  }

  /** @param {MachineName | 'server' | 'node' | PageMachineName} machine */
  async #load(machine) {
    const svg = await drawing(`${BASE}/inspect/assets/${machine}.svg`);
    if (svg === null) {
      this.root.textContent = 'The diagram could not be loaded.';
      return;
    }
    this.#svg = document.importNode(svg, true);
    // The table of states shows this in words, and for longer.
    this.#svg.setAttribute('aria-hidden', 'true');
    this.root.replaceChildren(this.#svg);
    this.#draw();
  }

  #draw() {
    const [svg, seen] = [this.#svg, this.#seen];
    if (!svg || !seen) return;
    for (const state of svg.querySelectorAll('.state')) {
      const lit = (seen.present[stateOf(state)] ?? 0) > 0;
      if (lit && !state.classList.contains('current')) this.#bringIntoSight(state);
      state.classList.toggle('current', lit);
    }
    for (const move of svg.querySelectorAll('.move')) {
      const [from, to] = [move.getAttribute('data-from'), move.getAttribute('data-to')];
      const count = seen.moves.reduce(
        (sum, { source, dest, count }) => (source === from && dest === to ? sum + count : sum),
        0,
      );
      write(move.querySelector('.count'), count > 0 ? `${count}×` : '');
    }
    this.#drawDwell(svg, seen);
  }

  /**
   * Scroll the panel, and nothing else, if the state is not completely visible.
   * @param {Element} state
   */
  #bringIntoSight(state) {
    const panel = this.root.parentElement;
    if (!panel) return;
    const [view, box] = [panel.getBoundingClientRect(), state.getBoundingClientRect()];
    if (box.top < view.top || box.bottom > view.bottom)
      panel.scrollBy({ top: box.top - view.top - MARGIN, behavior: 'smooth' });
  }

  /**
   * @param {SVGSVGElement} svg
   * @param {MachineSeen} seen
   */
  #drawDwell(svg, seen) {
    const later = (performance.now() - this.#seenAt) / 1000;
    for (const group of svg.querySelectorAll('.state')) {
      const state = stateOf(group);
      const [present, visits] = [seen.present[state] ?? 0, seen.visits[state] ?? 0];
      const dwelt = (seen.dwelt[state] ?? 0) + present * later;
      const words = this.#single ? `${visits}× ${duration(dwelt)}` : `${present} now, ${visits}×`;
      write(group.querySelector('.dwell'), visits > 0 ? words : '');
    }
  }
}

/**
 * @param {string} url
 * @returns {Promise<SVGSVGElement | null>} null: the server does not answer, or the user is leaving the page
 */
async function drawing(url) {
  try {
    const response = await fetch(url);
    const svg = new DOMParser().parseFromString(await response.text(), 'image/svg+xml').documentElement;
    return response.ok && svg instanceof SVGSVGElement ? svg : null;
  } catch (error) {
    console.debug('no diagram', error);
    return null;
  }
}

/** @param {Element} group */
function stateOf(group) {
  return group.getAttribute('data-state') ?? '';
}

/**
 * @param {Element | null} place
 * @param {string} words
 */
function write(place, words) {
  if (place && place.textContent !== words) place.textContent = words;
}
