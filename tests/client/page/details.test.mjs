// The text of a report about a fault, and the plots of the last minute.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UNKNOWN } from '../../../client/media/readings.js';
import { textOf } from '../../../client/page/details-text.js';
import { pathOf } from '../../../client/page/plot.js';

const rates = {
  size: { width: 640, height: 480 },
  frames: 24.4,
  picture: 812_345,
  sound: 32_000,
  loss: 0.0123,
  roundTrip: 0.0254,
  codecs: ['VP8', 'opus'],
  path: { transport: 'udp', relay: 'tcp' },
};
const details = {
  at: new Date('2026-11-27T20:00:00Z'),
  browser: 'a browser',
  server: 'roomfsm/1',
  session: 'p1',
  connection: 'open',
  room: 'inside',
  streams: [],
  record: [],
};

test('a report says what was measured, now and in the last minute, and what the page saw', () => {
  const text = textOf({
    ...details,
    streams: [{ title: 'receiving p2.camera', state: 'connected', minute: [{ ...rates, frames: 10 }, rates] }],
    record: [{ at: Date.UTC(2026, 10, 27, 19, 59, 58, 7), what: 'connection open' }],
  });
  for (const line of [
    'roomfsm, 2026-11-27T20:00:00.000Z',
    'connection  open, room inside',
    'receiving p2.camera: connected',
    '  picture     640x480',
    '  codecs      VP8, opus',
    '  path        relay by tcp',
    '  frames/s    24, in the last minute 10 / 24 / 24',
    '  kbit/s      812, in the last minute 812 / 812 / 812 (picture)',
    '  lost %      1.2, in the last minute 1.2 / 1.2 / 1.2',
    '  trip ms     25, in the last minute 25 / 25 / 25',
    '  19:59:58.007 connection open',
  ])
    assert.ok(text.split('\n').includes(line), `${line}\n${text}`);
});

test('a report about what is not known yet says so', () => {
  const streams = [
    { title: 'sending camera', state: 'negotiating', minute: [] },
    { title: 'sending screen', state: 'waiting', minute: [UNKNOWN] },
  ];
  const text = textOf({ ...details, streams });
  assert.match(text, /sending camera: negotiating\n {2}nothing is known yet/);
  assert.match(text, /frames\/s {4}-\n/);
});

test('a plot ends at its right edge, with gaps where nothing is known', () => {
  assert.equal(pathOf([]), '');
  assert.equal(pathOf([5, 10]), 'M58 10.0L59 0.0');
  assert.equal(pathOf([10, null, 10]), 'M57 0.0M59 0.0');
  assert.equal(pathOf([0, 0]), 'M58 20.0L59 20.0');
  // A small change under a value that is usual does not look large.
  assert.equal(pathOf([3], 30), 'M59 18.0');
});
