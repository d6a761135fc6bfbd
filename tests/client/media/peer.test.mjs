// What is offered to the media server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Peer, withAudioRepair } from '../../../client/media/peer.js';

test('audio is offered with retransmission, once', () => {
  const lines = (...feedback) =>
    ['a=rtpmap:111 opus/48000/2', ...feedback, 'a=rtpmap:63 red/48000/2', 'a=rtpmap:96 VP8/90000', ''].join('\r\n');
  assert.equal(withAudioRepair(lines()), lines('a=rtcp-fb:111 nack'));
  assert.equal(withAudioRepair(withAudioRepair(lines())), lines('a=rtcp-fb:111 nack'));
});

test('who asks for the statistics of a connection that is closed meanwhile gets none, and an answer', async () => {
  globalThis.RTCPeerConnection = class extends EventTarget {
    getStats = () => new Promise(() => {}); // as in Firefox
    close() {}
  };
  const peer = new Peer([], () => {});
  const asked = peer.stats();
  peer.close();
  assert.equal((await asked).size, 0);
  assert.equal((await peer.stats()).size, 0);
});
