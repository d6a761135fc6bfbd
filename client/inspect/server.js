// The server's machine, kept up to date, and what it is as one of several nodes.

import { BASE } from '../wire/base.js';
import { part, setText } from '../page/dom.js';
import { Diagram } from './diagram.js';
import { follow } from './feed.js';
import { Node } from './node.js';
import { duration } from './words.js';

/** @import {ServerSeen} from './inspection.d.ts' */

/** @param {ParentNode} root with the parts of the server and of the node */
export function showServer(root) {
  const diagram = new Diagram('server');
  const node = new Node(root);
  const [badge, since] = [part(root, 'server-state'), part(root, 'server-since')];
  /** @type {ServerSeen | null} */
  let seen = null;
  let seenAt = 0;

  function tick() {
    if (seen === null) return;
    setText(since, `for ${duration(seen.since + (performance.now() - seenAt) / 1000)}`);
    diagram.tick();
    node.tick();
  }

  part(root, 'server').append(diagram.root);
  follow(
    `${BASE}/inspect/api/server/feed`,
    /** @param {ServerSeen} told */ (told) => {
      [seen, seenAt] = [told, performance.now()];
      badge.dataset['state'] = told.state;
      setText(badge, told.state);
      diagram.show(told.machine);
      node.show(told.node ?? null);
      tick();
    },
    (words) => {
      // What is known of it is old from now on.
      if (words !== '') seen = null;
      setText(since, words);
    },
  );
  setInterval(tick, 1000);
}
