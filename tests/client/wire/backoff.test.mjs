// Waiting times between tries.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from '../../../client/wire/backoff.js';

test('waiting times double up to the bound, between half and the whole', () => {
  const shortest = (tries) => backoff(tries, { random: () => 0 });
  const longest = (tries) => backoff(tries, { random: () => 1 });
  assert.deepEqual([1, 2, 3, 5, 6, 100].map(shortest), [250, 500, 1000, 4000, 5000, 5000]);
  assert.deepEqual([1, 2, 3, 5, 6, 100].map(longest), [500, 1000, 2000, 8000, 10_000, 10_000]);
});
