// Credentials: given a link with a token or a typed password, the room is asked for with it, also after a reload.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Credentials } from '../../../client/room/credentials.js';

/** As much of the browser's storage as is needed. */
class FakeStorage {
  /** @type {Map<string, string>} */
  items = new Map();
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  setItem(key, value) {
    this.items.set(key, value);
  }
}

test('a token is taken out of a fragment and kept for its room, however the name is written', () => {
  const credentials = new Credentials(null);
  assert.equal(credentials.takeFrom('Blue', '#token=a.b-c.d_e'), true);
  assert.deepEqual(credentials.of('blue'), { token: 'a.b-c.d_e' });
  assert.deepEqual(credentials.of('red'), {});
});

test('a fragment without a token is left alone', () => {
  const credentials = new Credentials(null);
  for (const fragment of ['', '#', '#chat', '#token', '#token=', '#xtoken=a']) {
    assert.equal(credentials.takeFrom('blue', fragment), false);
  }
  assert.deepEqual(credentials.of('blue'), {});
});

test('a password is kept beside the token, and a new link replaces both', () => {
  const credentials = new Credentials(null);
  credentials.takeFrom('blue', '#token=one');
  credentials.setPassword('blue', 'open sesame');
  assert.deepEqual(credentials.of('blue'), { token: 'one', password: 'open sesame' });
  credentials.takeFrom('blue', '#token=two');
  assert.deepEqual(credentials.of('blue'), { token: 'two' });
});

test('a reload forgets nothing, and another tab knows nothing', () => {
  const storage = new FakeStorage();
  new Credentials(storage).takeFrom('blue', '#token=one');
  assert.deepEqual(new Credentials(storage).of('blue'), { token: 'one' });
  assert.deepEqual(new Credentials(new FakeStorage()).of('blue'), {});
});

test('a storage that is full or has nonsense does no harm', () => {
  const broken = { getItem: () => '{', setItem: () => { throw new Error('full'); } };
  const credentials = new Credentials(broken);
  credentials.setPassword('blue', 'x');
  assert.deepEqual(credentials.of('blue'), { password: 'x' });
  assert.deepEqual(credentials.of('constructor'), {});
});
