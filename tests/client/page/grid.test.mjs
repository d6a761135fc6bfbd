// The layout of the stage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tileWidth } from '../../../client/page/grid.js';

test('tiles are as large as fit', () => {
  const tile = { ratio: 4 / 3, gap: 10, least: 160 };
  assert.equal(tileWidth({ width: 800, height: 600 }, 1, tile), 800);
  assert.equal(tileWidth({ width: 810, height: 300 }, 2, tile), 400);
  assert.equal(tileWidth({ width: 300, height: 460 }, 2, tile), 300);
});

test('too many tiles scroll at a readable width', () => {
  const tile = { ratio: 4 / 3, gap: 10, least: 160 };
  assert.equal(tileWidth({ width: 340, height: 300 }, 40, tile), 165);
  assert.equal(tileWidth({ width: 120, height: 300 }, 40, tile), 120);
});
