// The layout of the stage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { besideLarge, gridAndSelf, narrowTileWidth, selfWidth, tileWidth } from '../../../client/page/grid.js';

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

/**
 * Whether the self-view, 8 pixels from the corner where lines end, covers a tile of a grid in the middle of its place.
 * @param {{ width: number, height: number }} area
 * @param {number} count
 * @param {number} ratio
 * @param {{ width: number, self: number, side: number, below: number }} found
 */
function covers(area, count, ratio, { width, self, side, below }) {
  const place = { width: area.width - side, height: area.height - below };
  const columns = Math.min(count, Math.floor((place.width + 8) / (width + 8)));
  const rows = Math.ceil(count / columns);
  const height = width / ratio;
  const tall = rows * (height + 8) - 8;
  // What is too high scrolls: look at its end.
  const top = Math.min((place.height - tall) / 2, place.height - tall);
  const [left, above] = [area.width - 8 - self, area.height - 8 - (self * 3) / 4];
  return Array.from({ length: count }, (_, index) => index).some((index) => {
    const row = Math.floor(index / columns);
    const inRow = row < rows - 1 ? columns : count - row * columns;
    const begins = (place.width - inRow * (width + 8) + 8) / 2 + (index % columns) * (width + 8);
    const ends = top + row * (height + 8) + height;
    return begins + width > left && ends > above;
  });
}

test('the self-view covers nobody in a grid, which leaves place for it where no corner is free', () => {
  for (const [width, height] of [[1024, 770], [1360, 600], [660, 630], [828, 260], [374, 640], [500, 500]])
    for (const ratio of [4 / 3, 16 / 9])
      for (let count = 2; count <= 30; count += 1) {
        const [area, tile] = [{ width, height }, { ratio, gap: 8, least: 160 }];
        const widthOf = width < 480 ? narrowTileWidth : tileWidth;
        const found = gridAndSelf(area, count, tile, widthOf);
        const what = `${width}×${height}, ${count} of ${ratio}: ${JSON.stringify(found)}`;
        assert.ok(!covers(area, count, ratio, found), what);
        assert.ok(found.self >= Math.min(88, found.width) && found.self <= found.width, what);
        assert.ok(found.width >= 0.6 * widthOf(area, count, tile), what);
      }
});

test('the self-view takes a free corner before the grid is made smaller', () => {
  const tile = { ratio: 4 / 3, gap: 8, least: 160 };
  const area = { width: 1024, height: 770 };
  for (const count of [2, 5, 7]) assert.equal(gridAndSelf(area, count, tile).width, tileWidth(area, count, tile), String(count));
  // Four fill the area: a column is left free for it, and they are hardly smaller.
  const four = gridAndSelf(area, 4, tile);
  assert.ok(four.side > 0 && four.width > 0.8 * tileWidth(area, 4, tile), JSON.stringify(four));
  // A single picture is as large as it can be, and the corner is its own.
  assert.equal(gridAndSelf(area, 1, tile).width, tileWidth(area, 1, tile));
});
