// The sizes of the pictures on the stage. They are as large as possible if all fit, and otherwise have a readable size
// and scroll.

/** @typedef {{ width: number, height: number }} Area in pixels */

/**
 * @param {Area} area
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

/**
 * The width of the tiles of a grid on an upright phone: more than two are in two columns.
 * @param {Area} area
 * @param {number} count
 * @param {{ratio: number, gap: number}} tile
 */
export function narrowTileWidth(area, count, { ratio, gap }) {
  const half = Math.max(0, Math.floor((area.width - gap) / 2));
  return count > 2 ? half : tileWidth(area, count, { ratio, gap, least: half });
}

/** An area that is not this much wider than it is high has the strip below the large picture. */
const BESIDE_FROM = 1.15;
/** The part of the area's width that the strip beside the large picture takes at most, and the widths of its tiles. */
const STRIP = { part: 0.28, least: 112, most: 224 };
/** The columns of the strip below the large picture, and the part of the height that is the large picture's at most. */
const BELOW = { columns: 3, large: 0.6 };

/**
 * The sizes of one large picture, as large as its shape allows, and the strip of the others.
 * @param {Area} area
 * @param {number} count of tiles in the strip
 * @param {{ratio: number, largeRatio: number, gap: number}} tile width by height of those in the strip and of the large
 * @returns {{ side: 'beside' | 'below', columns: number, width: number, large: Area & { left: number, top: number } }}
 *   of the strip: its side, its columns and the width of a tile; of the large picture: its size, and how far it is
 *   from where lines begin and from the top
 */
export function besideLarge(area, count, { ratio, largeRatio, gap }) {
  if (count > 0 && area.width < area.height * BESIDE_FROM) {
    const { columns } = BELOW;
    const width = Math.floor((area.width - gap * (columns - 1)) / columns);
    // If all others fit below it, the large picture may have the rest.
    const rest = area.height - Math.ceil(count / columns) * (width / ratio + gap);
    const place = { width: area.width, height: Math.max(rest, area.height * BELOW.large) };
    return { side: 'below', columns, width, large: { ...within(place, largeRatio), top: 0 } };
  }
  const { columns, width } = count > 0 ? stripBeside(area, count, { ratio, largeRatio, gap }) : { columns: 0, width: 0 };
  const place = { width: area.width - columns * (width + gap), height: area.height };
  return { side: 'beside', columns, width, large: within(place, largeRatio) };
}

/**
 * The strip has as few columns as hold all tiles, and takes what the large picture cannot use anyway.
 * @param {Area} area
 * @param {number} count
 * @param {{ratio: number, largeRatio: number, gap: number}} tile
 */
function stripBeside(area, count, { ratio, largeRatio, gap }) {
  const place = Math.max(area.width * STRIP.part, area.width - area.height * largeRatio - gap);
  let strip = { columns: 1, width: STRIP.least };
  for (let columns = 1; columns <= count; columns += 1) {
    const width = Math.min(Math.floor((place - gap * (columns - 1)) / columns), STRIP.most);
    if (width < STRIP.least) break;
    strip = { columns, width };
    if (Math.ceil(count / columns) * (width / ratio + gap) - gap <= area.height) break;
  }
  return strip;
}

/**
 * The largest picture of that shape in the middle of a place.
 * @param {Area} place
 * @param {number} ratio width by height
 */
function within(place, ratio) {
  const width = Math.floor(Math.max(0, Math.min(place.width, place.height * ratio)));
  const height = Math.floor(width / ratio);
  return { width, height, left: Math.floor((place.width - width) / 2), top: Math.floor((place.height - height) / 2) };
}

/**
 * @param {number} width of what it lies over, in pixels
 * @param {number} smallest the width of the smallest of the others, in pixels
 * @returns {number} the width of the self-view: small, and never wider than another picture
 */
export function selfWidth(width, smallest) {
  return Math.floor(Math.min(Math.max(width * 0.2, 88), 192, smallest));
}

/** The least width of a self-view in a free corner, its width where the grid leaves place for it; its distance to all else. */
const CORNER = { least: 88, reserved: 144, ratio: 4 / 3, margin: 8 };

/**
 * The grid of the others and the self-view in the corner where lines end, which covers none of them. If it would, the grid
 * leaves place for it: a column or a row, whichever leaves the others larger. A single picture is covered, as a large one is.
 * @param {Area} area
 * @param {number} count of the others
 * @param {{ratio: number, gap: number, least: number}} tile
 * @param {typeof tileWidth} widthOf
 * @returns {{ width: number, self: number, side: number, below: number }} the widths of a tile and of the self-view, and
 *   what stays free at the end of the lines and below the grid
 */
export function gridAndSelf(area, count, tile, widthOf = tileWidth) {
  const width = widthOf(area, count, tile);
  const self = selfWidth(area.width, width);
  if (count < 2) return { width, self, side: 0, below: 0 };
  const free = freeCorner(area, count, width, tile);
  if (free >= Math.min(self, CORNER.least)) return { width, self: Math.min(self, free), side: 0, below: 0 };
  const small = Math.min(self, CORNER.reserved);
  const place = { side: small + CORNER.margin + tile.gap, below: Math.ceil(small / CORNER.ratio) + CORNER.margin + tile.gap };
  const beside = widthOf({ width: area.width - place.side, height: area.height }, count, tile);
  const above = widthOf({ width: area.width, height: area.height - place.below }, count, tile);
  return beside > above
    ? { width: beside, self: Math.min(small, beside), side: place.side, below: 0 }
    : { width: above, self: Math.min(small, above), side: 0, below: place.below };
}

/**
 * @param {Area} area
 * @param {number} count of tiles, whose rows are in the middle of the area
 * @param {number} width of a tile
 * @param {{ratio: number, gap: number}} tile
 * @returns {number} the width of the widest self-view that has place below them or at the end of the last row
 */
function freeCorner(area, count, width, { ratio, gap }) {
  const columns = Math.min(count, Math.max(1, Math.floor((area.width + gap) / (width + gap))));
  const rows = Math.ceil(count / columns);
  const last = count - (rows - 1) * columns;
  const height = width / ratio;
  const bottom = Math.max(0, (area.height - rows * (height + gap) + gap) / 2);
  const end = (area.width - last * (width + gap) + gap) / 2;
  const below = (bottom - 2 * CORNER.margin) * CORNER.ratio;
  const beside = Math.min(end - 2 * CORNER.margin, (bottom + height - CORNER.margin) * CORNER.ratio);
  return Math.floor(Math.max(0, below, beside));
}
