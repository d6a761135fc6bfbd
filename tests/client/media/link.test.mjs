// A link that fails is tried again: for ever where what fails it passes by itself, else for a while.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { Publication } from '../../../client/media/publication.js';
import { ConnectionLost, ProtocolError } from '../../../client/wire/connection.js';

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
  signalingState = 'stable';
  remoteDescription = null;
  configuration = { bundlePolicy: 'max-bundle' };
  getConfiguration() {
    return this.configuration;
  }
  setConfiguration(configuration) {
    this.configuration = configuration;
  }
  rollbacks = 0;
  async setLocalDescription({ type } = {}) {
    if (type === 'rollback') this.rollbacks += 1;
    this.signalingState = type === 'rollback' ? 'stable' : 'have-local-offer';
  }
  async setRemoteDescription(description) {
    this.signalingState = 'stable';
    this.remoteDescription = description;
  }
  restartIce() {
    this.restarts = (this.restarts ?? 0) + 1;
  }
  close() {}

  bytes = 1000;
  async getStats() {
    return new Map([['t', { type: 'transport', bytesReceived: this.bytes }]]);
  }

  /** @param {RTCPeerConnectionState} state */
  becomes(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
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
  }
});

test('an offer that is answered in time gives no doubt', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
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
  }
});

/**
 * A presenter who is on the air, and the server's side of it: each request waits for `reply` or `refuse`.
 */
async function onTheAir() {
  const asked = [];
  const waiting = [];
  const connection = {
    ready: true,
    iceServers: [],
    doubts: 0,
    request(message) {
      if (!this.ready) return Promise.reject(new ConnectionLost());
      asked.push(message.type);
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    send() {},
    doubt() {
      this.doubts += 1;
    },
  };
  const publication = new Publication(connection, () => 'p1', 'camera', { getTracks: () => [] });
  const failures = [];
  publication.on('failed', (failure) => failures.push(failure));
  const server = {
    asked,
    async reply() {
      waiting.shift().resolve({ sdp: 'v=0' });
      await settle();
    },
    async refuse(code) {
      waiting.shift().reject(new ProtocolError({ type: 'error', code, detail: code }));
      await settle();
    },
    async vanish() {
      connection.ready = false;
      for (const { reject } of waiting.splice(0)) reject(new ConnectionLost());
      await settle();
    },
  };
  publication.start();
  await settle();
  await server.reply();
  publication.peer.pc.becomes('connected');
  return { publication, connection, server, failures, pc: publication.peer.pc };
}

/** @param {(scene: Awaited<ReturnType<typeof onTheAir>>) => Promise<void>} play */
async function scene(play) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const all = await onTheAir();
    await play(all);
    all.publication.drop();
  } finally {
    mock.timers.reset();
  }
}

for (const state of ['disconnected', 'failed'])
  test(`when the path is ${state}, the same peer connection is restarted at once`, () =>
    scene(async ({ publication, connection, server, failures, pc }) => {
      pc.becomes(state);
      await settle();
      assert.deepEqual(server.asked, ['publish', 'restart']);
      assert.deepEqual([publication.state, connection.doubts, pc.restarts], ['restarting', 1, 1]);
      await server.reply();
      assert.equal(publication.state, 'connecting');
      pc.becomes('connected');
      assert.equal(publication.state, 'connected');
      await pass(60_000);
      assert.deepEqual([publication.state, publication.peer.pc, failures], ['connected', pc, []]);
      assert.deepEqual(server.asked, ['publish', 'restart']);
    }));

test('a path that recovers by itself goes on, whatever comes of the restart', () =>
  scene(async ({ publication, server, pc }) => {
    for (const end of ['reply', 'refuse']) {
      pc.becomes('disconnected');
      await settle();
      pc.becomes('connected');
      assert.equal(publication.state, 'connected');
      await server[end]('restart_refused');
      await pass(20_000);
      assert.deepEqual([publication.state, publication.peer.pc], ['connected', pc]);
      // Otherwise it could never make an ordinary offer again.
      assert.equal(pc.signalingState, 'stable');
    }
    assert.deepEqual(server.asked, ['publish', 'restart', 'restart']);
  }));

test('when the server cannot be reached either, the restart follows as soon as the page is back', () =>
  scene(async ({ publication, connection, server, failures, pc }) => {
    pc.becomes('disconnected');
    await settle();
    await server.vanish();
    pc.becomes('failed');
    await pass(30_000);
    assert.deepEqual([publication.state, publication.peer.pc], ['restarting', pc]);
    connection.ready = true;
    publication.resume(true);
    await settle();
    await server.reply();
    pc.becomes('connected');
    assert.deepEqual([publication.state, failures], ['connected', []]);
    assert.deepEqual(server.asked, ['publish', 'restart', 'restart']);
  }));

test('when the page is back and the server has ended the stream, it begins anew', () =>
  scene(async ({ publication, connection, server, pc }) => {
    pc.becomes('disconnected');
    await settle();
    await server.vanish();
    connection.ready = true;
    publication.resume(false);
    await settle();
    assert.deepEqual(server.asked, ['publish', 'restart', 'publish']);
    assert.equal(publication.state, 'negotiating');
  }));

test('a media server that cannot restart, as Kurento, is asked for a new stream at once', () =>
  scene(async ({ publication, server, failures, pc }) => {
    pc.becomes('disconnected');
    await settle();
    await server.refuse('restart_refused');
    assert.deepEqual(server.asked, ['publish', 'restart', 'unpublish']);
    await server.reply();
    assert.deepEqual(server.asked, ['publish', 'restart', 'unpublish', 'publish']);
    await server.reply();
    assert.notEqual(publication.peer.pc, pc);
    publication.peer.pc.becomes('connected');
    assert.deepEqual([publication.state, failures], ['connected', []]);
  }));

test('a stream that the server does not have any more is not ended there again', () =>
  scene(async ({ server, pc }) => {
    pc.becomes('disconnected');
    await settle();
    await server.refuse('no_such_stream');
    assert.deepEqual(server.asked, ['publish', 'restart', 'publish']);
  }));

test('a restart that finds no path in ten seconds begins anew', () =>
  scene(async ({ publication, server, pc }) => {
    pc.becomes('disconnected');
    await settle();
    await server.reply();
    await pass(9_500);
    assert.equal(publication.state, 'connecting');
    await pass(500);
    assert.deepEqual(server.asked, ['publish', 'restart', 'unpublish']);
    assert.equal(publication.state, 'negotiating');
  }));

test('a restart without an answer for three seconds makes the page doubt its connection', () =>
  scene(async ({ connection, pc }) => {
    pc.becomes('disconnected');
    await settle();
    await pass(2_500);
    assert.equal(connection.doubts, 1);
    await pass(500);
    assert.equal(connection.doubts, 2);
  }));

test('a path that a browser has not noticed to be gone is restarted, and is good when something comes over it', () =>
  scene(async ({ publication, server, pc }) => {
    publication.moved();
    await settle();
    assert.deepEqual([publication.state, server.asked], ['restarting', ['publish', 'restart']]);
    await pass(1_000);
    assert.equal(publication.state, 'restarting');
    // The browser forgets what came over the old path.
    pc.bytes = 10;
    await pass(500);
    assert.equal(publication.state, 'restarting');
    pc.bytes += 100;
    await pass(500);
    assert.equal(publication.state, 'connected');
    await server.reply();
    assert.equal(publication.state, 'connected');
  }));

test('a restart that found its path without an answer is answered when the page is back', () =>
  scene(async ({ publication, connection, server, pc }) => {
    publication.moved();
    await settle();
    await server.vanish();
    pc.bytes += 100;
    await pass(500);
    assert.equal(publication.state, 'connected');
    connection.ready = true;
    publication.resume(true);
    await settle();
    assert.deepEqual([publication.state, server.asked], ['connected', ['publish', 'restart', 'restart']]);
    await server.reply();
    // Once answered, it is not asked again.
    publication.resume(true);
    await settle();
    assert.deepEqual(server.asked, ['publish', 'restart', 'restart']);
    assert.equal(publication.peer.pc, pc);
  }));

test('a page that is back in another network does not trust a path that seems good', () =>
  scene(async ({ publication, server }) => {
    publication.resume(true, true);
    await settle();
    assert.deepEqual([publication.state, server.asked], ['restarting', ['publish', 'restart']]);
  }));

test('a restart that has found no path is asked for again when the page is back, whatever the browser believes', () =>
  scene(async ({ publication, connection, server, pc }) => {
    publication.moved();
    await settle();
    await server.vanish();
    connection.ready = true;
    publication.resume(true);
    await settle();
    assert.deepEqual([publication.state, pc.connectionState], ['restarting', 'connected']);
    assert.deepEqual(server.asked, ['publish', 'restart', 'restart']);
  }));

test('a stall at a media server that cannot restart is ridden out, and the next one is not even asked about', () =>
  scene(async ({ publication, server, failures, pc }) => {
    publication.moved();
    await settle();
    await server.refuse('restart_refused');
    assert.deepEqual([pc.rollbacks, pc.signalingState], [1, 'stable']);
    assert.equal(publication.state, 'connecting');
    await pass(4_000);
    pc.bytes += 100;
    await pass(500);
    assert.equal(publication.state, 'connected');
    await pass(60_000);
    publication.moved();
    await pass(60_000);
    assert.deepEqual([publication.state, publication.peer.pc, failures], ['connected', pc, []]);
    assert.deepEqual(server.asked, ['publish', 'restart']);
  }));

test('where nothing comes for five more seconds after a refused restart, it begins anew', () =>
  scene(async ({ publication, server }) => {
    publication.moved();
    await settle();
    await server.refuse('restart_refused');
    await pass(4_500);
    assert.equal(publication.state, 'connecting');
    await pass(500);
    assert.deepEqual(server.asked, ['publish', 'restart', 'unpublish']);
    assert.equal(publication.state, 'negotiating');
  }));

test('a disturbed path begins anew at once where restarts are refused, also when a silence came before', () =>
  scene(async ({ publication, server, pc }) => {
    publication.moved();
    await settle();
    pc.becomes('disconnected');
    await server.refuse('restart_refused');
    assert.deepEqual(server.asked, ['publish', 'restart', 'unpublish']);
    assert.equal(pc.rollbacks, 0);
    assert.equal(publication.state, 'negotiating');
  }));

test('a page that is back in another network begins anew at once where restarts are refused', () =>
  scene(async ({ publication, server }) => {
    publication.moved();
    await settle();
    await server.vanish();
    publication.connection.ready = true;
    publication.resume(true, true);
    await settle();
    await server.refuse('restart_refused');
    assert.deepEqual(server.asked, ['publish', 'restart', 'restart', 'unpublish']);
  }));

test('a restart uses the ICE servers of the present, and changes nothing else', () =>
  scene(async ({ publication, connection, pc }) => {
    const renewed = [{ urls: ['turn:t.example'], username: 'later', credential: 'new' }];
    connection.iceServers = renewed;
    publication.moved();
    await settle();
    assert.deepEqual(pc.configuration, { bundlePolicy: 'max-bundle', iceServers: renewed });
  }));

test('a browser that does not take other ICE servers restarts with those that it has', () =>
  scene(async ({ publication, server, pc }) => {
    pc.setConfiguration = () => {
      throw new DOMException('no', 'InvalidModificationError');
    };
    publication.moved();
    await settle();
    assert.deepEqual([publication.state, server.asked], ['restarting', ['publish', 'restart']]);
  }));
