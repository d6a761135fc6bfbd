// Names, addresses, waiting times and the layout of the stage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from '../../client/backoff.js';
import { tileWidth } from '../../client/grid.js';
import { displayNameFault, foldRoomName, roomNameFault, roomOfPath, roomPath } from '../../client/names.js';

test('room names that the server takes have no fault', () => {
  for (const name of ['blue', 'Räume_3.b-2', '会議', 'a'.repeat(64), '...'])
    assert.equal(roomNameFault(name), null, name);
});

test('other room names are told what is wrong', () => {
  for (const name of ['', ' ', 'a b', 'a/b', '.', '..', 'a'.repeat(65), 'a\n', '🙂'])
    assert.ok(roomNameFault(name), name);
});

test('display names are 1 to 64 characters, something to read, no control characters', () => {
  for (const name of ['Ann', 'Björn Ö.', '🙂'.repeat(64)]) assert.equal(displayNameFault(name), null, name);
  for (const name of ['', '  ', 'a\tb', 'a\u0085', 'a'.repeat(65)]) assert.ok(displayNameFault(name), name);
});

test('room names are compared folded', () => {
  assert.equal(foldRoomName('BLUE'), foldRoomName('blue'));
  assert.equal(foldRoomName('Ｂlue'), foldRoomName('blue'));
  assert.equal(foldRoomName('STRASSE'), foldRoomName('straße'));
  assert.notEqual(foldRoomName('blue'), foldRoomName('blau'));
});

test('a path names a room, or the lobby', () => {
  assert.equal(roomOfPath('/'), null);
  assert.equal(roomOfPath('/r/'), null);
  assert.equal(roomOfPath('/r/blue'), 'blue');
  assert.equal(roomOfPath('/r/100%'), '100%');
  assert.equal(roomOfPath(roomPath('Räume')), 'Räume');
});

test('waiting times double up to the bound, between half and the whole', () => {
  const shortest = (tries) => backoff(tries, { random: () => 0 });
  const longest = (tries) => backoff(tries, { random: () => 1 });
  assert.deepEqual([1, 2, 3, 5, 6, 100].map(shortest), [250, 500, 1000, 4000, 5000, 5000]);
  assert.deepEqual([1, 2, 3, 5, 6, 100].map(longest), [500, 1000, 2000, 8000, 10_000, 10_000]);
});

test('tiles are as large as fit', () => {
  const tile = { ratio: 4 / 3, gap: 10, least: 160 };
  assert.equal(tileWidth({ width: 800, height: 600 }, 1, tile), 800);
  assert.equal(tileWidth({ width: 810, height: 300 }, 2, tile), 400);
  assert.equal(tileWidth({ width: 300, height: 460 }, 2, tile), 300);
});

test('too many tiles scroll at a readable width', () => {
  const tile = { ratio: 4 / 3, gap: 10, least: 160 };
  assert.equal(tileWidth({ width: 340, height: 300 }, 40, tile), 165);
  assert.equal(tileWidth({ width: 120, height: 300 }, 40, tile), 120);
});
