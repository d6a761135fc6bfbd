// What a report about a fault says of a peer connection: the rates between two looks at its statistics.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ratesOf, readingOf, UNKNOWN } from '../../../client/media/readings.js';

/** @param {...any} reports */
const report = (...reports) => new Map(reports.map((one) => [one.id, one]));
const codecs = [
  { id: 'c1', type: 'codec', mimeType: 'video/VP8' },
  { id: 'c2', type: 'codec', mimeType: 'audio/opus' },
];
/** @param {{ time: number, protocol?: string, candidateType?: string, relayProtocol?: string }} pair */
const over = ({ time, ...local }) => [
  { id: 't', type: 'transport', selectedCandidatePairId: 'p' },
  { id: 'p', type: 'candidate-pair', localCandidateId: 'l', currentRoundTripTime: time },
  { id: 'other', type: 'candidate-pair', localCandidateId: 'no', currentRoundTripTime: 9 },
  { id: 'l', type: 'local-candidate', protocol: 'udp', candidateType: 'host', ...local },
];

test('what is received has a picture, frames, bitrates, loss, a round trip, codecs and a path', () => {
  const at = (seconds) =>
    report(
      ...codecs,
      ...over({ time: 0.025 }),
      {
        ...{ id: 'v', type: 'inbound-rtp', kind: 'video', codecId: 'c1', frameWidth: 640, frameHeight: 480 },
        ...{ bytesReceived: 100_000 * seconds, packetsReceived: 90 * seconds, packetsLost: 10 * seconds },
        framesDecoded: 24 * seconds,
      },
      {
        ...{ id: 'a', type: 'inbound-rtp', kind: 'audio', codecId: 'c2' },
        ...{ bytesReceived: 4_000 * seconds, packetsReceived: 50 * seconds, packetsLost: 0 },
      },
    );
  const [before, after] = [readingOf(at(10), 10_000), readingOf(at(12), 12_000)];
  assert.deepEqual(ratesOf(before, after), {
    size: { width: 640, height: 480 },
    frames: 24,
    picture: 800_000,
    sound: 32_000,
    loss: 20 / (180 + 100 + 20),
    roundTrip: 0.025,
    codecs: ['VP8', 'opus'],
    path: { transport: 'udp', relay: null },
  });
  // The first reading has nothing to compare with.
  const first = ratesOf(before, before);
  assert.deepEqual([first.frames, first.picture, first.loss, first.size?.width], [null, null, null, 640]);
});

test('of what is sent, the other side says what was lost', () => {
  const at = (seconds) =>
    report(
      { id: 'r', type: 'remote-inbound-rtp', kind: 'video', packetsLost: 5 * seconds },
      {
        ...{ id: 'v', type: 'outbound-rtp', kind: 'video', remoteId: 'r', frameWidth: 320, frameHeight: 240 },
        ...{ bytesSent: 1_000 * seconds, packetsSent: 95 * seconds, framesSent: 30 * seconds },
      },
    );
  const rates = ratesOf(readingOf(at(1), 1_000), readingOf(at(2), 2_000));
  assert.deepEqual([rates.frames, rates.picture, rates.loss, rates.sound], [30, 8_000, 0.05, null]);
  assert.deepEqual([rates.codecs, rates.path, rates.roundTrip], [[], null, null]);
});

test('the time of a reading is that of the browser\'s counts', () => {
  const at = (timestamp, frames) =>
    readingOf(report({ id: 'v', type: 'inbound-rtp', kind: 'video', timestamp, framesDecoded: frames }), 9_999);
  assert.equal(ratesOf(at(1_000, 0), at(1_800, 24)).frames, 30);
});

test('packets that come late are no negative loss', () => {
  const of = (lost) => readingOf(report({ id: 'a', type: 'inbound-rtp', kind: 'audio', packetsReceived: 10, packetsLost: lost }), lost);
  assert.equal(ratesOf({ ...of(5), at: 0 }, { ...of(3), at: 1_000 }).loss, null);
});

for (const [local, path] of [
  [{ protocol: 'tcp' }, { transport: 'tcp', relay: null }],
  [{ candidateType: 'relay', relayProtocol: 'tls' }, { transport: 'udp', relay: 'tls' }],
  [{ candidateType: 'relay' }, { transport: 'udp', relay: 'udp' }],
  [{ candidateType: 'srflx' }, { transport: 'udp', relay: null }],
])
  test(`the path of ${JSON.stringify(local)} is named`, () => {
    assert.deepEqual(readingOf(report(...over({ time: 0.1, ...local })), 0).path, path);
  });

test('Firefox marks the selected pair itself', () => {
  const reading = readingOf(
    report(
      { id: 'p', type: 'candidate-pair', selected: true, localCandidateId: 'l', currentRoundTripTime: 0.5 },
      { id: 'l', type: 'local-candidate', protocol: 'udp', candidateType: 'host' },
    ),
    0,
  );
  assert.deepEqual([reading.roundTrip, reading.path], [0.5, { transport: 'udp', relay: null }]);
});

test('where nothing is known, nothing is told', () => {
  const rates = ratesOf(readingOf(report(), 0), readingOf(report(), 1_000));
  assert.deepEqual(rates, UNKNOWN);
});
