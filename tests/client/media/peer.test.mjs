// What is offered to the media server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withAudioRepair } from '../../../client/media/peer.js';

test('audio is offered with retransmission, once', () => {
  const lines = (...feedback) =>
    ['a=rtpmap:111 opus/48000/2', ...feedback, 'a=rtpmap:63 red/48000/2', 'a=rtpmap:96 VP8/90000', ''].join('\r\n');
  assert.equal(withAudioRepair(lines()), lines('a=rtcp-fb:111 nack'));
  assert.equal(withAudioRepair(withAudioRepair(lines())), lines('a=rtcp-fb:111 nack'));
});
