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

test('a peer over which much comes is looked at as long as it is connected, and its silence is told once', async () => {
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

/** Peers over which something comes at each look, or not. */
function several(...names) {
  const bytes = new Map(names.map((name) => [name, 0]));
  const looks = new Map(names.map((name) => [name, 0]));
  const peers = names.map((name) => ({
    stats: async () => {
      looks.set(name, looks.get(name) + 1);
      return new Map([['t', { type: 'transport', bytesReceived: bytes.get(name) }]]);
    },
  }));
  let told = 0;
  const watch = new PathWatch(() => peers, () => (told += 1));
  /** @param {number} count @param {string[]} busy over which something comes before each look */
  const look = async (count, ...busy) => {
    for (let turn = 0; turn < count; turn += 1) {
      for (const name of busy) bytes.set(name, bytes.get(name) + 100);
      await watch.look();
    }
  };
  return { watch, look, looks, bytes, told: () => told };
}

for (const place of [0, 1, 2, 3])
  test(`of four peers, the one at place ${place} over which something comes is found`, async () => {
    const names = ['a', 'b', 'c', 'd'];
    const { watch, look, told } = several(...names);
    await look(2 * names.length + 6, names[place]);
    assert.deepEqual([watch.silent, told()], [false, 0]);
    await look(3);
    assert.deepEqual([watch.silent, told()], [true, 1]);
  });

test('a peer over which nothing comes any more is left for another, also much later', async () => {
  const { watch, look, told } = several('a', 'b', 'c');
  await look(7, 'a', 'c');
  // Its presenter stops, which is told as a silence until something is heard from another.
  await look(7, 'c');
  assert.deepEqual([watch.silent, told()], [false, 1]);
  await look(7, 'c');
  await look(3);
  assert.deepEqual([watch.silent, told()], [true, 2]);
  await look(20);
  assert.deepEqual([watch.silent, told()], [true, 2]);
});

test('among peers over which a report comes each second, no silence is ever told', async () => {
  for (const names of [['a'], ['a', 'b'], ['a', 'b', 'c', 'd', 'e']]) {
    const { look, told } = several(...names);
    for (let second = 0; second < 30; second += 1) {
      await look(1, ...names);
      await look(2);
    }
    await look(20);
    assert.equal(told(), 0);
  }
});
