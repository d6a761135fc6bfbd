// The layout of the pictures. They are as large as possible if all fit, and otherwise have a readable size and
// scroll.

/**
 * @param {{width: number, height: number}} area pixels
 * @param {number} count of tiles
 * @param {{ratio: number, gap: number, least: number}} tile width by height, gap, least width; pixels
 * @returns {number} the width of a tile, in whole pixels
 */
export function tileWidth(area, count, { ratio, gap, least }) {
  let best = 0;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const byWidth = (area.width - gap * (columns - 1)) / columns;
    const byHeight = ((area.height - gap * (rows - 1)) / rows) * ratio;
    best = Math.max(best, Math.floor(Math.min(byWidth, byHeight)));
  }
  if (best >= Math.min(least, area.width)) return best;
  const columns = Math.max(1, Math.min(count, Math.floor((area.width + gap) / (least + gap))));
  return Math.max(0, Math.floor((area.width - gap * (columns - 1)) / columns));
}
