// What of the stage is large, in the strip, in the corner, or not shown.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LAYOUT, layOut, screensOf } from '../../../client/page/layout.js';

const camera = (key, own = false) => ({ key, own, source: 'camera' });
const screen = (key, own = false) => ({ key, own, source: 'screen' });
const wishes = (more = {}) => ({
  arrangement: 'speaker',
  pinned: null,
  setAside: new Set(),
  speaker: null,
  selfView: true,
  ...more,
});
const places = (pictures, more) => Object.fromEntries(layOut(pictures, wishes(more)));
const THREE = [camera('me', true), camera('a'), camera('b')];

test('while nobody has spoken all are equal, and the own camera is in the corner', () => {
  assert.deepEqual(places(THREE), { me: 'corner', a: 'grid', b: 'grid' });
});

test('who speaks is large, and the others are in the strip', () => {
  assert.deepEqual(places(THREE, { speaker: 'b' }), { me: 'corner', a: 'strip', b: 'large' });
});

test('the user may want all to be equal whoever speaks', () => {
  assert.deepEqual(places(THREE, { speaker: 'b', arrangement: 'grid' }), { me: 'corner', a: 'grid', b: 'grid' });
});

test('a shared screen is large whoever speaks, also in the grid, unless the user has set it aside', () => {
  const pictures = [...THREE, screen('s')];
  for (const arrangement of ['speaker', 'grid'])
    assert.deepEqual(places(pictures, { speaker: 'b', arrangement }), { me: 'corner', a: 'strip', b: 'strip', s: 'large' });
  const setAside = new Set(['s']);
  assert.equal(places(pictures, { arrangement: 'grid', setAside }).s, 'grid');
  assert.equal(places(pictures, { speaker: 'b', setAside }).b, 'large');
});

test('of several screens the one that began last is large', () => {
  const pictures = [screen('s'), screen('t')];
  assert.equal(places(pictures).t, 'large');
  assert.equal(places(pictures, { setAside: new Set(['t']) }).s, 'large');
  assert.deepEqual(screensOf([...pictures, screen('own', true)]), ['s', 't']);
});

test('what the user pins is large whatever else there is, as long as it is there', () => {
  const pictures = [...THREE, screen('s')];
  for (const arrangement of ['speaker', 'grid'])
    assert.equal(places(pictures, { pinned: 'a', speaker: 'b', arrangement }).a, 'large');
  assert.equal(places(pictures, { pinned: 'gone', speaker: 'b' }).s, 'large');
});

test('the own camera is never as large as the others while there are any', () => {
  for (const arrangement of ['speaker', 'grid'])
    for (const speaker of [null, 'a', 'me.camera'])
      assert.equal(places(THREE, { arrangement, speaker }).me, 'corner');
  assert.deepEqual(places([camera('me', true)]), { me: 'grid' });
  assert.deepEqual(places([camera('me', true), screen('mine', true)]), { me: 'grid', mine: 'grid' });
});

test('the own camera can be hidden, and the own screen is one picture among the others', () => {
  assert.equal(places(THREE, { selfView: false }).me, 'unshown');
  assert.equal(places([...THREE, screen('mine', true)]).mine, 'grid');
  assert.equal(places([...THREE, screen('mine', true)], { speaker: 'a' }).mine, 'strip');
});

test('the table has a row for everything', () => {
  assert.deepEqual(LAYOUT.at(-1), { large: null, when: {} });
});
