// Before a room: who is asked how to take part, and with what a reload goes on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mustAsk, Tab } from '../../../client/page/entry.js';

test('a tab asks once, unless the user wants not to be asked at all', () => {
  assert.equal(mustAsk({ entered: false, ask: null, named: false }), true);
  assert.equal(mustAsk({ entered: false, ask: true, named: true }), true);
  assert.equal(mustAsk({ entered: false, ask: false, named: true }), false);
  assert.equal(mustAsk({ entered: true, ask: true, named: false }), false);
});

test('a program that has stored a name is not asked', () => {
  assert.equal(mustAsk({ entered: false, ask: null, named: true }), false);
});

test('a reload goes on in the same room with what was on', () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const tab = new Tab(storage);
  assert.deepEqual([tab.entered, tab.onIn('blue')], [false, { camera: false, microphone: false }]);
  tab.remember('blue', { camera: true, microphone: false });
  const again = new Tab(storage);
  assert.deepEqual([again.entered, again.onIn('blue')], [true, { camera: true, microphone: false }]);
  assert.deepEqual(again.onIn('red'), { camera: false, microphone: false });
});

test('a storage that is refused, full or broken is no error', () => {
  const refused = () => {
    throw new DOMException('no', 'SecurityError');
  };
  for (const storage of [null, { getItem: refused, setItem: refused }, { getItem: () => '{', setItem: refused }]) {
    const tab = new Tab(storage);
    tab.remember('blue', { camera: true, microphone: true });
    assert.deepEqual(tab.onIn('blue'), { camera: true, microphone: true });
  }
});
