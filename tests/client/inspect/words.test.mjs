// The inspector's words: durations, sizes, and the journal's entries.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { details, duration, outcome, size, stopwatch } from '../../../client/inspect/words.js';

/** @param {Record<string, unknown>} changes */
const entry = (changes) => ({ machine: 'room', trigger: 'chat', source: 'waiting', dest: 'waiting', ...changes });

test('durations are short, and carry over at their bounds', () => {
  const said = [0, 9.94, 9.95, 59.94, 59.95, 60, 185, 3599, 3600, 7440, 86_399, 86_400, 93_600].map(duration);
  assert.deepEqual(said, [
    '0.0 s',
    '9.9 s',
    '10 s',
    '59 s',
    '1 min',
    '1 min',
    '3 min 5 s',
    '59 min 59 s',
    '1 h',
    '2 h 4 min',
    '23 h 59 min',
    '1 d',
    '1 d 2 h',
  ]);
});

test('the time of an entry is that of a stop watch', () => {
  assert.deepEqual([0, 1.5, 59.9996, 61.25, 3723.004].map(stopwatch), [
    '0:00.000',
    '0:01.500',
    '1:00.000',
    '1:01.250',
    '1:02:03.004',
  ]);
});

test('sizes have one unit', () => {
  assert.deepEqual([0, 999, 1000, 4_194_304].map(size), ['0 B', '999 B', '1 kB', '4.2 MB']);
});

test('a message tells what a reader wants to know', () => {
  assert.equal(details(entry({})), '');
  const message = { type: 'candidate', ref: 4, stream: 's', candidate: '<9 characters>', sdpMid: '0', sdpMLineIndex: 0 };
  assert.equal(details(entry({ message })), 'stream s, candidate <9 characters>');
  assert.equal(details(entry({ message: { reason: 'left', count: 3 } })), 'reason left, count 3');
});

test('what followed: effects, or the refusal with its reason', () => {
  assert.equal(outcome(entry({})), '');
  assert.equal(outcome(entry({ effects: ['admit', 'say'] })), 'admit, say');
  assert.equal(outcome(entry({ refused: { code: 'room_full', detail: 'x' } })), 'refused: room_full');
  const refused = { code: 'illegal_in_state', detail: 'x', machine: 'room', state: 'closing' };
  assert.equal(outcome(entry({ refused })), 'refused: illegal_in_state (room is closing)');
});
