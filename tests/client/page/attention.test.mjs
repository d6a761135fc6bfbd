// Which pictures are seen, and which are received.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Attention, expectedSize, isCovered, isSeen, sizeOf, UNSEEN_FOR } from '../../../client/page/attention.js';

const facts = (more = {}) => ({ floats: false, tab: 'seen', fullScreen: 'none', covered: false, inView: true, ...more });

test('a picture is seen where it is in view, and nothing hides it', () => {
  assert.equal(isSeen(facts()), true);
  assert.equal(isSeen(facts({ inView: false })), false);
  assert.equal(isSeen(facts({ covered: true })), false);
  assert.equal(isSeen(facts({ tab: 'hidden' })), false);
  assert.equal(isSeen(facts({ fullScreen: 'another' })), false);
});

test('what fills the screen is seen, and what floats is seen even from a hidden tab', () => {
  assert.equal(isSeen(facts({ fullScreen: 'this', inView: false })), true);
  assert.equal(isSeen(facts({ floats: true, tab: 'hidden', inView: false })), true);
  assert.equal(isSeen(facts({ fullScreen: 'this', tab: 'hidden' })), false);
});

test('a picture that comes into sight is wanted at once, and one that leaves it only after a while', () => {
  const attention = new Attention();
  attention.note('a', true, 0);
  assert.equal(attention.wants('a', 0), true);
  attention.note('a', false, 1_000);
  assert.equal(attention.wants('a', 1_000), true);
  assert.equal(attention.changesIn(1_000), UNSEEN_FOR);
  // To look again does not begin the time anew.
  attention.note('a', false, 2_000);
  assert.equal(attention.wants('a', 1_000 + UNSEEN_FOR - 1), true);
  assert.equal(attention.wants('a', 1_000 + UNSEEN_FOR), false);
  assert.equal(attention.changesIn(1_000 + UNSEEN_FOR), null);
  attention.note('a', true, 9_000);
  assert.equal(attention.wants('a', 9_000), true);
});

test('scrolling to and fro changes nothing', () => {
  const attention = new Attention();
  for (let now = 0; now < 20_000; now += 500) {
    attention.note('a', Math.floor(now / 1_500) % 2 === 0, now);
    assert.equal(attention.wants('a', now), true);
  }
});

test('what was never in sight is not wanted, and what is not known yet is', () => {
  const attention = new Attention();
  attention.note('a', false, 0);
  assert.equal(attention.wants('a', 0), false);
  assert.equal(attention.changesIn(0), null);
  assert.equal(attention.wants('b', 0), true);
});

test('a tile is covered if hardly anything of it is left', () => {
  const tile = { left: 0, top: 0, right: 100, bottom: 100 };
  assert.equal(isCovered(tile, { left: 0, top: 10, right: 200, bottom: 300 }), true);
  assert.equal(isCovered(tile, { left: 0, top: 40, right: 200, bottom: 300 }), false);
  assert.equal(isCovered(tile, { left: 150, top: 150, right: 200, bottom: 300 }), false);
  assert.equal(isCovered({ left: 0, top: 0, right: 0, bottom: 0 }, { left: 0, top: 0, right: 9, bottom: 9 }), false);
});

test('a picture is asked for in the size in which it is shown', () => {
  assert.deepEqual([180, 260, 261, 560, 561, 1900].map(sizeOf), ['small', 'small', 'medium', 'medium', 'large', 'large']);
});

test('a size does not change to and fro at its edge', () => {
  assert.equal(sizeOf(270, 'small'), 'small');
  assert.equal(sizeOf(290, 'small'), 'medium');
  assert.equal(sizeOf(250, 'medium'), 'medium');
  assert.equal(sizeOf(230, 'medium'), 'small');
  assert.equal(sizeOf(250, 'none'), 'small');
});

test('the more pictures there are, the smaller they are until they are shown', () => {
  assert.deepEqual([1, 2, 3, 6, 7].map(expectedSize), ['large', 'large', 'medium', 'medium', 'small']);
});
