// How the lines of the chat are grouped, divided and folded.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arrange, isLong } from '../../../client/page/chat-lines.js';

const NOW = Date.now();
const line = (seq, more = {}) => ({ seq, participant: 'a', name: 'Ada', text: `line ${seq}`, at: NOW, ...more });
/** The items in short: `+` for a line that goes on, `n` for one with a name, and the dividers. */
const shape = (...arranged) =>
  arrange(...arranged)
    .map((item) => item.divider ?? (item.continued ? '+' : 'n'))
    .join(' ');

test('somebody who goes on is not named again; another person, name, recipient, answer or a pause is', () => {
  assert.equal(shape([], [line(1), line(2), line(3)], null), 'n + +');
  assert.equal(shape([], [line(1), line(2, { participant: 'b' }), line(3)], null), 'n n n');
  assert.equal(shape([], [line(1), line(2, { name: 'Countess' })], null), 'n n');
  assert.equal(shape([], [line(1), line(1, { to: 'b' }), line(1, { to: 'b', text: 'x' })], null), 'n n +');
  assert.equal(shape([], [line(1), line(2, { replyTo: 1 }), line(3)], null), 'n n +');
  assert.equal(shape([], [line(1, { at: NOW - 300_000 }), line(2)], null).split(' ').at(-1), 'n');
});

test('the first line that was not seen has a divider before it, and names its speaker', () => {
  assert.equal(shape([], [line(1), line(2), line(3)], '2'), 'n new n +');
  assert.equal(shape([], [line(1)], '9'), 'n');
});

test('days are divided, but not today from nothing', () => {
  const yesterday = NOW - 26 * 3_600_000;
  assert.equal(shape([], [line(1, { at: yesterday }), line(2)], null), 'day n day n');
  assert.equal(shape([], [], null), '');
});

test('what is from before stands first, and a divider ends it', () => {
  assert.equal(shape([line(1), line(2)], [line(1)], null), 'n + before n');
  assert.equal(shape([line(1)], [], null), 'n before');
  const keys = arrange([line(1), line(1, { at: NOW - 1 })], [line(1)], null).map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length);
});

test('a long text and a tall text are folded', () => {
  assert.deepEqual(
    ['', 'a'.repeat(1_000), 'a\n'.repeat(11), 'a'.repeat(1_001), '\n'.repeat(4_000), '\n'.repeat(12)].map(isLong),
    [false, false, false, true, true, true],
  );
});
