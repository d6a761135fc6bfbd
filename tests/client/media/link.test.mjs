// A link that fails is tried again: for ever where what fails it passes by itself, else for a while.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Publication } from '../../../client/media/publication.js';
import { ProtocolError } from '../../../client/wire/connection.js';

/** As much of a browser's as a link needs that never gets an answer. */
class PeerConnection extends EventTarget {
  connectionState = 'new';
  localDescription = { sdp: 'v=0' };
  addTransceiver() {
    return { sender: {} };
  }
  getTransceivers() {
    return [];
  }
  async setLocalDescription() {}
  close() {}
}
globalThis.RTCPeerConnection = PeerConnection;

/**
 * A presenter whose every `publish` is answered with the next of the codes, the last one again and again.
 * @param {string[]} codes
 */
function refused(...codes) {
  const failures = [];
  const asked = [];
  const connection = {
    ready: true,
    welcome: { iceServers: [] },
    request: async ({ type }) => {
      asked.push(type);
      const code = codes.length > 1 ? codes.shift() : codes[0];
      throw new ProtocolError({ type: 'error', code, detail: code, message: type });
    },
    send() {},
    doubt() {},
  };
  const publication = new Publication(connection, () => 'p1', 'camera', { getTracks: () => [] });
  publication.on('failed', (failure) => failures.push(failure));
  return { publication, failures, asked };
}

/** Let the promises settle that a tick of the clock has started. */
async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

async function pass(milliseconds) {
  for (let passed = 0; passed < milliseconds; passed += 500) {
    mock.timers.tick(500);
    await settle();
  }
}

for (const code of ['media_unavailable', 'media_lost'])
  test(`a presenter goes on trying for as long as the answer is ${code}`, async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    try {
      const { publication, failures, asked } = refused(code);
      publication.start();
      await settle();
      await pass(10 * 60_000);
      assert.equal(publication.state, 'waiting');
      assert.ok(failures.every(({ givenUp }) => !givenUp));
      // Each wait is doubled up to 10 s, with jitter: between a try in 10 s and one in 5.
      assert.ok(asked.length >= 60 && asked.length <= 130, `${asked.length}`);
      await publication.stop();
    } finally {
      mock.timers.reset();
    }
  });

for (const code of ['too_many_presenters', 'not_permitted'])
  test(`a presenter who has never been heard gives up at once when the answer is ${code}`, async () => {
    const { publication, failures, asked } = refused(code);
    publication.start();
    await settle();
    assert.deepEqual([publication.state, asked], ['given-up', ['publish']]);
    assert.deepEqual(failures.map(({ givenUp }) => givenUp), [true]);
  });

for (const code of ['media_failed', 'media_full', 'sdp_invalid'])
  test(`a presenter gives up after some tries that were answered with ${code}`, async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    try {
      const { publication, failures } = refused(code);
      publication.start();
      await settle();
      await pass(5 * 60_000);
      assert.equal(publication.state, 'given-up');
      assert.equal(failures.length, 7);
      assert.deepEqual(
        failures.map(({ givenUp }) => givenUp),
        [...Array(6).fill(false), true],
      );
    } finally {
      mock.timers.reset();
    }
  });

test('what passes by itself is not counted with what does not', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const codes = [...Array(5).fill('media_failed'), ...Array(50).fill('media_unavailable'), 'media_failed'];
    const { publication, failures } = refused(...codes);
    publication.start();
    await settle();
    await pass(20 * 60_000);
    assert.equal(publication.state, 'given-up');
    assert.equal(failures.length, 57);
  } finally {
    mock.timers.reset();
  }
});

/** A presenter who waits for the answer to the offer. */
function unanswered() {
  let [doubts, answer] = [0, () => {}];
  const connection = {
    ready: true,
    iceServers: [],
    request: () => new Promise((resolve) => (answer = resolve)),
    send() {},
    doubt: () => (doubts += 1),
  };
  const publication = new Publication(connection, () => 'p1', 'camera', { getTracks: () => [] });
  return { publication, doubts: () => doubts, answer: () => answer({ sdp: 'v=0' }) };
}

test('an offer without an answer for three seconds, and a disturbed path, make the page doubt its connection', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  PeerConnection.prototype.setRemoteDescription = async () => {};
  try {
    const { publication, doubts, answer } = unanswered();
    publication.start();
    await settle();
    mock.timers.tick(2_999);
    assert.equal(doubts(), 0);
    mock.timers.tick(1);
    assert.equal(doubts(), 1);
    answer();
    await settle();
    const { pc } = publication.peer;
    pc.connectionState = 'disconnected';
    pc.dispatchEvent(new Event('connectionstatechange'));
    assert.equal(doubts(), 2);
    const asked = publication.stop();
    answer();
    await asked;
  } finally {
    mock.timers.reset();
    delete PeerConnection.prototype.setRemoteDescription;
  }
});

test('an offer that is answered in time gives no doubt', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  PeerConnection.prototype.setRemoteDescription = async () => {};
  try {
    const { publication, doubts, answer } = unanswered();
    publication.start();
    await settle();
    answer();
    await settle();
    mock.timers.tick(10_000);
    assert.equal(doubts(), 0);
    const asked = publication.stop();
    answer();
    await asked;
  } finally {
    mock.timers.reset();
    delete PeerConnection.prototype.setRemoteDescription;
  }
});
