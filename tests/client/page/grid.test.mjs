// The layout of the stage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { besideLarge, narrowTileWidth, selfWidth, tileWidth } from '../../../client/page/grid.js';

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

const LARGE = { ratio: 4 / 3, largeRatio: 4 / 3, gap: 8 };

test('on a wide stage the others stand beside the large picture, on an upright one below it', () => {
  const wide = besideLarge({ width: 1000, height: 600 }, 3, LARGE);
  assert.deepEqual([wide.side, wide.columns, wide.width], ['beside', 1, 224]);
  const upright = besideLarge({ width: 374, height: 600 }, 5, LARGE);
  assert.deepEqual([upright.side, upright.columns, upright.width], ['below', 3, 119]);
});

test('the large picture is as large as its shape allows, in the middle of its place, and never cut', () => {
  for (const [width, height] of [[1000, 600], [374, 600], [828, 270], [600, 600], [300, 200]])
    for (const largeRatio of [4 / 3, 16 / 9, 9 / 16])
      for (const count of [0, 1, 5, 12]) {
        const { side, columns, width: strip, large } = besideLarge({ width, height }, count, { ...LARGE, largeRatio });
        const place = side === 'beside' ? width - columns * (strip + 8) : width;
        assert.ok(large.width <= place && large.height <= height, `${width}×${height}, ${count}`);
        assert.ok(Math.abs(large.width - largeRatio * large.height) <= largeRatio, `${large.width}×${large.height}`);
        assert.equal(large.left, Math.floor((place - large.width) / 2));
        if (count > 0) assert.ok(large.width > strip || largeRatio < 1, 'larger than the others');
      }
});

test('many others take as many columns as hold them, where the large picture leaves place', () => {
  assert.equal(besideLarge({ width: 1072, height: 770 }, 3, LARGE).columns, 1);
  assert.equal(besideLarge({ width: 1072, height: 770 }, 11, LARGE).columns, 2);
  // A phone on its side: the large picture is bounded by the height.
  const { columns, width, large } = besideLarge({ width: 828, height: 270 }, 11, LARGE);
  assert.deepEqual([columns, width, large.width], [3, 148, 360]);
});

test('the self-view is small, and never wider than another picture', () => {
  assert.equal(selfWidth(1072, 224), 192);
  assert.equal(selfWidth(374, 183), 88);
  assert.equal(selfWidth(374, 70), 70);
});

test('an upright phone has two columns for more than two, and otherwise the largest that fit', () => {
  const area = { width: 374, height: 650 };
  for (const count of [3, 6, 12]) assert.equal(narrowTileWidth(area, count, { ratio: 4 / 3, gap: 8 }), 183, String(count));
  assert.equal(narrowTileWidth(area, 1, { ratio: 4 / 3, gap: 8 }), 374);
  assert.equal(narrowTileWidth(area, 2, { ratio: 4 / 3, gap: 8 }), 374);
});
