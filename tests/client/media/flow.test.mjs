// Whether media still come, read off the statistics.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flow, receivedSoFar } from '../../../client/media/flow.js';

test('media that come no more for three seconds are stalled, until they come again', () => {
  const flow = new Flow();
  flow.measure(0, 0);
  flow.measure(0, 9_000);
  assert.equal(flow.stalled, false);
  flow.measure(10, 10_000);
  flow.measure(10, 12_999);
  assert.equal(flow.stalled, false);
  flow.measure(10, 13_000);
  assert.equal(flow.stalled, true);
  flow.measure(11, 14_000);
  assert.equal(flow.stalled, false);
});

test('decoded frames count; of sound only, packets', () => {
  const audio = { type: 'inbound-rtp', kind: 'audio', packetsReceived: 50 };
  const video = { type: 'inbound-rtp', kind: 'video', packetsReceived: 30, framesDecoded: 7 };
  assert.equal(receivedSoFar([{ type: 'transport' }]), 0);
  assert.equal(receivedSoFar([audio, { ...video, framesDecoded: 0 }]), 50);
  assert.equal(receivedSoFar([audio, video]), 7);
  // With the camera off, the sound goes on; with both off, nothing is missed.
  assert.equal(receivedSoFar([audio, video], { picture: false, sound: true }), 50);
  assert.equal(receivedSoFar([audio, video], { picture: true, sound: false }), 7);
  assert.equal(receivedSoFar([audio, video], { picture: false, sound: false }), 0);
});
