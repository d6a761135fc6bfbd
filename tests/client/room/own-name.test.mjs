// A room of one's own has a name that people can read, and that the server takes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownRoomName } from '../../../client/room/own-name.js';

test('a name is two words and a number', () => {
  for (let times = 0; times < 200; times += 1) assert.match(ownRoomName(), /^[a-z]+-[a-z]+-[1-9][0-9]$/);
  assert.equal(ownRoomName(() => 0), 'able-badger-10');
});

test('the last word and number can be drawn, too', () => {
  assert.equal(ownRoomName((below) => below - 1), 'young-wren-99');
});
