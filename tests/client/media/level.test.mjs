// How loud a microphone is, as people hear it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loudness } from '../../../client/media/level.js';

test('the meter shows decibels: silence is nothing, and full scale is all of it', () => {
  assert.deepEqual([0, 0.0001, 0.001, 1, 2].map(loudness), [0, 0, 0, 1, 1]);
  assert.ok(Math.abs(loudness(0.0316) - 0.5) < 0.01);
});
