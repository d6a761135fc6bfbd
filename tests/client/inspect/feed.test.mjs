// A feed that breaks off: what is told of it, and when it is opened again.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { follow } from '../../../client/inspect/feed.js';

/** @type {Source[]} */
const opened = [];

class Source extends EventTarget {
  closed = false;

  /** @param {string} url */
  constructor(url) {
    super();
    this.url = url;
    opened.push(this);
  }

  close() {
    this.closed = true;
  }
}

test('what broke off is told until the next try, however late the reason is known', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {((response: Response) => void)[]} */
  const answers = [];
  mock.method(globalThis, 'fetch', () => new Promise((resolve) => answers.push(resolve)));
  Object.assign(globalThis, { EventSource: Source });
  /** @type {string[]} */
  const told = [];
  follow(
    '/feed',
    () => {},
    (words) => told.push(words),
  );
  opened[0]?.dispatchEvent(new Event('open'));
  opened[0]?.dispatchEvent(new Event('error'));
  assert.equal(opened[0]?.closed, true);
  context.mock.timers.tick(2000);
  answers[0]?.(new Response('Too many look.', { status: 503 }));
  await setImmediate();
  assert.deepEqual(told, ['Connecting …', '', 'Too many look. Trying again.']);
  context.mock.timers.tick(2000);
  opened[1]?.dispatchEvent(new Event('open'));
  await setImmediate();
  assert.deepEqual(told.slice(3), ['Connecting …', '']);
});
