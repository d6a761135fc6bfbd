// What the user is told, in words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotBeARoom, explain, nameFault } from '../../../client/page/words.js';
import { ProtocolError } from '../../../client/wire/connection.js';

test('who follows the address of what can be no room is told why, at no great length', () => {
  assert.equal(cannotBeARoom('a b', 'It has a space.'), '“a b” cannot be a room. It has a space.');
  assert.match(cannotBeARoom('', 'It is empty.'), /^A room’s name cannot be empty\./);
  assert.ok(cannotBeARoom('a'.repeat(5000), 'It is long.').length < 200);
});

test('of a failure at the media server a person reads the reason', () => {
  const detail = 'no common video codec: the source sends H264, the viewer takes VP8';
  const failed = new ProtocolError({ type: 'error', code: 'media_failed', detail });
  assert.equal(explain(failed), `The media server could not do this. (${detail})`);
  const full = new ProtocolError({ type: 'error', code: 'room_full', detail: 'the room is full' });
  assert.ok(!explain(full).includes('('));
});

test('why there can be no such name is said by its code, or by the server’s sentence if the code is newer', () => {
  assert.equal(nameFault({ name: 'Ada' }), undefined);
  assert.equal(nameFault({ fault: 'x', code: 'too_long', values: { most: 64 } }), 'A name has at most 64 characters.');
  assert.equal(nameFault({ fault: 'It rhymes.', code: 'rhyme', values: {} }), 'It rhymes.');
  assert.equal(nameFault({ fault: 'It rhymes.' }), 'It rhymes.');
});
