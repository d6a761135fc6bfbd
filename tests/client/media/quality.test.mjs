// How good a path is, in bars.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PathQuality, quality, sampleOf } from '../../../client/media/quality.js';

const START = { packets: 0, lost: 0, frames: 0, dropped: 0, frozen: 0, limited: false, roundTrip: 0.02, at: 0 };
const after = (more = {}) => ({ ...START, packets: 1000, frames: 60, at: 2_000, ...more });
const bars = (more) => quality(START, after(more));

test('a path without loss and with a short round trip is good', () => {
  assert.equal(bars({}), 3);
  assert.equal(bars({ roundTrip: null }), 3);
});

test('the worst of loss, round trip and frames decides', () => {
  assert.equal(bars({ lost: 50 }), 2);
  assert.equal(bars({ lost: 150 }), 1);
  assert.equal(bars({ roundTrip: 0.5 }), 2);
  assert.equal(bars({ roundTrip: 1.2 }), 1);
  assert.equal(bars({ dropped: 12 }), 2);
  assert.equal(bars({ dropped: 40 }), 1);
  assert.equal(bars({ frozen: 0.4 }), 2);
  assert.equal(bars({ frozen: 1.5 }), 1);
  assert.equal(bars({ limited: true }), 2);
  assert.equal(bars({ limited: true, lost: 500 }), 1);
});

test('nothing is said of a path over which nothing came', () => {
  assert.equal(quality(START, { ...START, at: 2_000 }), null);
  assert.equal(quality(after(), { ...after(), packets: 1010 }), null);
});

test('packets that come late are not lost', () => {
  assert.equal(quality({ ...START, lost: 10 }, after({ lost: 4 })), 3);
});

test('only what is new counts: an old loss is over', () => {
  const bad = after({ lost: 400 });
  assert.equal(quality(bad, { ...bad, packets: 2000, frames: 120, at: 4_000 }), 3);
});

test('the reports of a received and of a sent stream are read', () => {
  const received = [
    { type: 'inbound-rtp', kind: 'audio', packetsReceived: 100, packetsLost: 1 },
    { type: 'inbound-rtp', kind: 'video', packetsReceived: 900, packetsLost: 9, framesReceived: 60, framesDropped: 3, totalFreezesDuration: 0.5 },
    { type: 'candidate-pair', nominated: true, state: 'succeeded', currentRoundTripTime: 0.04 },
    { type: 'candidate-pair', nominated: false, state: 'waiting' },
  ];
  assert.deepEqual(sampleOf(received, 7), {
    packets: 1000, lost: 10, frames: 60, dropped: 3, frozen: 0.5, limited: false, roundTrip: 0.04, at: 7,
  });
  const sent = [
    { type: 'outbound-rtp', packetsSent: 500, qualityLimitationReason: 'bandwidth' },
    { type: 'remote-inbound-rtp', packetsLost: 20, roundTripTime: 0.2 },
  ];
  assert.deepEqual(sampleOf(sent, 7), {
    packets: 500, lost: 20, frames: 0, dropped: 0, frozen: 0, limited: true, roundTrip: 0.2, at: 7,
  });
});

test('a grade that holds only for a moment is not told', () => {
  const path = new PathQuality();
  const told = [];
  let sample = START;
  for (const lost of [0, 0, 200, 0, 0, 200, 200]) {
    sample = { ...sample, packets: sample.packets + 1000, frames: sample.frames + 60, lost: sample.lost + lost, at: sample.at + 1000 };
    path.take(sample);
    told.push(path.bars);
  }
  assert.deepEqual(told, [null, 3, 3, 3, 3, 3, 1]);
});
