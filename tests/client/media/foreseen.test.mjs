// What the first view of a room needs is made while the server is asked for the room.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Watching } from '../../../client/media/watching.js';

/** All that were made. @type {PeerConnection[]} */
const made = [];
class PeerConnection extends EventTarget {
  connectionState = 'new';
  localDescription = { sdp: `offer ${made.push(this)}` };
  closed = false;
  addTransceiver() {}
  getTransceivers() {
    return [];
  }
  async setLocalDescription() {}
  async setRemoteDescription() {}
  close() {
    this.closed = true;
  }
}

function watching() {
  made.splice(0);
  globalThis.RTCPeerConnection = PeerConnection;
  globalThis.MediaStream = class {
    getTracks = () => [];
    getVideoTracks = () => [];
  };
  const asked = [];
  const connection = {
    ready: true,
    iceServers: [{ urls: ['stun:a'] }],
    welcome: { limits: { views: 4 } },
    request: async ({ type, stream, sdp }) => {
      asked.push([type, stream, sdp]);
      return { sdp: 'v=0' };
    },
    send() {},
    doubt() {},
  };
  const one = new Watching(connection);
  watchers.push(one);
  return { watching: one, connection, asked };
}

/** @type {Watching[]} */
const watchers = [];
afterEach(() => {
  for (const one of watchers.splice(0)) one.leave();
});

const settle = () => new Promise((resolve) => setTimeout(resolve));

test('the first view of the room sends at once the offer that was made before the room was entered', async () => {
  const { watching: one, asked } = watching();
  one.foresee();
  await settle();
  assert.equal(made.length, 1);
  one.follow([{ id: 'p2.camera' }, { id: 'p3.camera' }]);
  // This is before the page has shown anything of the room.
  assert.deepEqual(asked, [['view', 'p2.camera', 'offer 1']]);
  await settle();
  assert.deepEqual(asked.slice(1), [['view', 'p3.camera', 'offer 2']]);
  assert.ok(made.every(({ closed }) => !closed));
});

test('an offer that is still being made is sent when it is there', async () => {
  const { watching: one, asked } = watching();
  one.foresee();
  one.follow([{ id: 'p2.camera' }]);
  await settle();
  assert.deepEqual([asked, made.length], [[['view', 'p2.camera', 'offer 1']], 1]);
});

test('those who may use a TURN server only inside the room make another offer', async () => {
  const { watching: one, connection, asked } = watching();
  one.foresee();
  await settle();
  connection.iceServers = [{ urls: ['stun:a'] }, { urls: ['turn:b'], username: 'u', credential: 'c' }];
  one.follow([{ id: 'p2.camera' }]);
  await settle();
  assert.deepEqual(asked, [['view', 'p2.camera', 'offer 2']]);
  assert.deepEqual(made.map(({ closed }) => closed), [true, false]);
});

test('new credentials of the same TURN server change nothing', async () => {
  const { watching: one, connection, asked } = watching();
  connection.iceServers = [{ urls: ['turn:b'], username: 'u', credential: 'c' }];
  one.foresee();
  await settle();
  connection.iceServers = [{ urls: ['turn:b'], username: 'v', credential: 'd' }];
  one.follow([{ id: 'p2.camera' }]);
  assert.deepEqual(asked, [['view', 'p2.camera', 'offer 1']]);
});

for (const [what, end] of [
  ['nothing to watch', (one) => one.forgetForeseen()],
  ['no room any more', (one) => one.leave()],
  ['another room by now', (one) => one.foresee()],
])
  test(`with ${what}, what was made ready is closed`, async () => {
    const { watching: one, asked } = watching();
    one.foresee();
    await settle();
    end(one);
    assert.equal(made[0].closed, true);
    one.follow([{ id: 'p2.camera' }]);
    await settle();
    assert.equal(asked[0][2], 'offer 2');
  });

test('an offer that cannot be made beforehand is made when it is needed', async () => {
  const { watching: one, asked } = watching();
  let fails = true;
  PeerConnection.prototype.setLocalDescription = async () => {
    if (fails) throw new Error('not now');
  };
  one.foresee();
  await settle();
  fails = false;
  assert.equal(made[0].closed, true);
  one.follow([{ id: 'p2.camera' }]);
  await settle();
  assert.deepEqual(asked, [['view', 'p2.camera', 'offer 2']]);
});
