// What the server is told of how large a picture is seen.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Viewing } from '../../../client/media/viewing.js';
import { ConnectionLost } from '../../../client/wire/connection.js';

/** As much of a browser's as a view needs that is answered and has a path at once. */
class PeerConnection extends EventTarget {
  connectionState = 'connected';
  localDescription = { sdp: 'v=0' };
  addTransceiver() {}
  getTransceivers() {
    return [];
  }
  async setLocalDescription() {}
  async setRemoteDescription() {
    this.dispatchEvent(new Event('connectionstatechange'));
  }
  close() {}
}

function viewing() {
  globalThis.RTCPeerConnection = PeerConnection;
  globalThis.MediaStream = class {
    getTracks = () => [];
    getVideoTracks = () => [];
  };
  const asked = [];
  const connection = {
    ready: true,
    lost: false,
    welcome: { iceServers: [] },
    request: async ({ type, size }) => {
      if (connection.lost) throw new ConnectionLost();
      asked.push(size === undefined ? type : `${type} ${size}`);
      return { sdp: 'v=0' };
    },
    send() {},
    doubt() {},
  };
  return { view: new Viewing(connection, 'p1.camera'), connection, asked };
}

async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

test('a view begins with its picture, and the server is told when it is not seen and when it is', async () => {
  const { view, asked } = viewing();
  view.start();
  await settle();
  for (const size of ['large', 'none', 'none', 'large', 'large']) view.adjust(size);
  assert.deepEqual(asked, ['view', 'adjust none', 'adjust large']);
  view.drop();
});

test('a view that begins unseen begins without its picture', async () => {
  const { view, asked } = viewing();
  view.adjust('none');
  view.start();
  await settle();
  view.adjust('large');
  assert.deepEqual(asked, ['view none', 'adjust large']);
  view.drop();
});

test('a wish that was lost with the connection is told when the page is back', async () => {
  const { view, connection, asked } = viewing();
  view.start();
  await settle();
  connection.lost = true;
  view.adjust('none');
  await settle();
  connection.lost = false;
  view.resume(true);
  assert.deepEqual(asked, ['view', 'adjust none']);
  view.drop();
});

test('a server that was killed may have forgotten what it was told last, so it is told again', async () => {
  const { view, asked } = viewing();
  view.start();
  await settle();
  view.resume(true);
  assert.deepEqual(asked, ['view'], 'it began like this');
  view.adjust('none');
  view.adjust('large');
  await settle();
  view.resume(true);
  assert.deepEqual(asked, ['view', 'adjust none', 'adjust large', 'adjust large']);
  view.drop();
});
