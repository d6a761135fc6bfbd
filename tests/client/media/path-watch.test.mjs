// A silence after steady traffic is noticed at once, and little traffic says nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesReceived, PathWatch, Silence } from '../../../client/media/path-watch.js';

/** @param {number[]} counts */
function heard(...counts) {
  const silence = new Silence();
  for (const count of counts) silence.take(count);
  return silence.silent;
}

test('three looks without anything new after steady traffic are a silence', () => {
  assert.equal(heard(1, 2, 3, 4, 5, 6, 6, 6), false);
  assert.equal(heard(1, 2, 3, 4, 5, 6, 6, 6, 6), true);
  assert.equal(heard(1, 2, 3, 4, 5, 6, 6, 6, 6, 7), false);
});

test('over what is quiet anyway, no silence is noticed', () => {
  assert.equal(heard(0, 0, 0, 0, 0, 0, 0), false);
  // A report each second.
  assert.equal(heard(...[1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5]), false);
  assert.equal(heard(1, 2, 3, 4, 5, 6, 6, 6, 6, 7, 7, 7, 7, 7), false);
});

test('bytes are counted for transports or, where a browser does not do that, for pairs of candidates', () => {
  const pairs = [
    ['a', { type: 'candidate-pair', bytesReceived: 5 }],
    ['b', { type: 'candidate-pair', bytesReceived: 7 }],
    ['c', { type: 'inbound-rtp', bytesReceived: 900 }],
  ];
  assert.equal(bytesReceived(new Map(pairs)), 12);
  assert.equal(bytesReceived(new Map([...pairs, ['t', { type: 'transport', bytesReceived: 20 }]])), 20);
});

test('one peer is looked at as long as it is connected, and its silence is told once', async () => {
  let bytes = 0;
  let told = 0;
  const peer = (count) => ({ stats: async () => new Map([['t', { type: 'transport', bytesReceived: count() }]]) });
  const quiet = peer(() => 0);
  const busy = peer(() => bytes);
  let peers = [busy];
  const watch = new PathWatch(() => peers, () => (told += 1));
  const looks = async (count, more) => {
    for (let look = 0; look < count; look += 1) {
      bytes += more;
      await watch.look();
    }
  };
  await looks(6, 100);
  peers = [quiet, busy];
  await looks(5, 0);
  assert.deepEqual([watch.silent, told], [true, 1]);
  peers = [quiet];
  await looks(1, 0);
  assert.equal(watch.silent, false);
});
