// This server as one of several nodes: its machine and journal, the other nodes, and the links to them.

import { element, find, part, setText, updateList } from '../page/dom.js';
import { Diagram } from './diagram.js';
import { duration, size } from './words.js';

/** @import {MediaServerSeen, NodeEntry, NodeSeen, OtherSeen} from './inspection.d.ts' */

const LABELS = ['State', 'People', 'Rooms', 'Lease', 'Sent', 'Received', 'Waiting', 'Lost', 'Settings'];
const MEDIA_LABELS = ['State', 'Known from', 'Listed by', 'Pipelines', 'Endpoints', 'Busy', 'Problem'];

export class Node {
  #root;
  /** @type {Diagram | null} */
  #diagram = null;
  /** @type {NodeSeen | null} */
  #seen = null;
  #seenAt = 0;

  /** @param {ParentNode} root with the part `node` and those in it */
  constructor(root) {
    this.#root = part(root, 'node');
  }

  /** @param {NodeSeen | null} seen null: the server is not one of several */
  show(seen) {
    this.#root.hidden = seen === null;
    this.#seen = seen;
    this.#seenAt = performance.now();
    if (seen === null) return;
    if (this.#diagram === null) {
      this.#diagram = new Diagram('node');
      part(this.#root, 'node-machine').append(this.#diagram.root);
    }
    const badge = part(this.#root, 'node-state');
    badge.dataset['state'] = seen.state;
    setText(badge, seen.state.replace('_', ' '));
    this.#diagram.show(seen.machine);
    this.#drawOthers(seen.others);
    this.#drawMediaServers(seen.mediaServers);
    this.tick();
  }

  /** Continue the clocks between two updates. */
  tick() {
    if (this.#seen === null) return;
    const later = (performance.now() - this.#seenAt) / 1000;
    setText(part(this.#root, 'node-since'), `for ${duration(this.#seen.since + later)}`);
    this.#drawFacts(this.#seen, later);
    this.#drawJournal(this.#seen.journal, this.#seen.age + later);
    this.#diagram?.tick();
  }

  /**
   * @param {NodeSeen} seen
   * @param {number} later seconds since it was told
   */
  #drawFacts(seen, later) {
    const facts = {
      Id: seen.id,
      'Its lease is good for': duration(Math.max(0, seen.leaseLeft - later)),
      'Browsers here, sessions elsewhere': String(seen.edge),
      'Sessions here, browsers elsewhere': String(seen.visitors),
    };
    updateList(
      part(this.#root, 'node-facts'),
      Object.entries(facts),
      ([name]) => name,
      ([name]) => element('div', {}, element('dt', { text: name }), element('dd')),
      (item, [, words]) => setText(find(item, 'dd', HTMLElement), words),
    );
  }

  /** @param {OtherSeen[]} others */
  #drawOthers(others) {
    setText(part(this.#root, 'no-others'), others.length === 0 ? 'No other node is there.' : '');
    updateList(
      part(this.#root, 'others'),
      others,
      ({ id }) => id,
      ({ id }) => row(id, LABELS),
      (shown, { people, rooms, draining, leaseLeft, differ, link }) => {
        const state = leaseLeft < 0 ? 'dead' : draining ? 'draining' : 'alive';
        const waiting = link?.waiting ? `${link.waiting} (${size(link.waitingBytes)})` : '0';
        const cells = [
          state,
          String(people),
          String(rooms),
          leaseLeft < 0 ? 'over' : duration(leaseLeft),
          String(link?.sent ?? 0),
          String(link?.received ?? 0),
          waiting,
          link?.broken ? `${link.lost} (broke ${link.broken}×)` : '0',
          differ.length === 0 ? 'alike' : `differ: ${differ.join(' ')}`,
        ];
        fill(shown, cells);
      },
    );
  }

  /** @param {MediaServerSeen[]} servers */
  #drawMediaServers(servers) {
    updateList(
      part(this.#root, 'media-servers'),
      servers,
      ({ url }) => url,
      ({ url }) => row(url, MEDIA_LABELS),
      (shown, { state, origin, nodes, pipelines, endpoints, busy, problem }) =>
        fill(shown, [
          state,
          origin,
          nodes.join(' ') || '–',
          String(pipelines),
          String(endpoints),
          busy === null ? '–' : `${busy} %`,
          problem ?? '–',
        ]),
    );
  }

  /**
   * @param {NodeEntry[]} journal the oldest entry first
   * @param {number} age of the node, in seconds
   */
  #drawJournal(journal, age) {
    updateList(
      part(this.#root, 'node-journal'),
      [...journal].reverse(),
      ({ at, trigger }) => `${at} ${trigger}`,
      ({ trigger, source, dest, effects }) =>
        element(
          'tr',
          {},
          element('td'),
          element('td', { text: trigger }),
          element('td', { text: source === dest ? source : `${source} → ${dest}` }),
          element('td', { text: effects.join(', ') }),
        ),
      (shown, { at }) => setText(find(shown, 'td', HTMLElement), duration(age - at)),
    );
  }
}

/**
 * @param {string} name
 * @param {string[]} labels those of its cells, of which the first has a badge
 */
function row(name, labels) {
  const head = element('th', { text: name, testid: 'node-row' });
  head.setAttribute('scope', 'row');
  const cells = labels.map((label, index) => {
    const cell = element('td', {}, ...(index === 0 ? [element('span', { class: 'badge' })] : []));
    cell.dataset['label'] = label;
    return cell;
  });
  return element('tr', {}, head, ...cells);
}

/**
 * @param {Element} shown a row
 * @param {string[]} cells what its cells say, the state first
 */
function fill(shown, cells) {
  cells.forEach((words, index) => {
    const cell = shown.children[index + 1];
    if (cell) setText(cell.firstElementChild ?? cell, words);
  });
  find(shown, '.badge', HTMLElement).dataset['state'] = cells[0] ?? '';
}
