// Names of rooms and people, and the addresses of rooms.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isPage, roomOfPath, roomPath } from '../../../client/room/names.js';
import { askDisplayName, askRoomName } from '../../../client/room/naming.js';

test('a path names a room, or the lobby', () => {
  assert.equal(roomOfPath('/'), null);
  assert.equal(roomOfPath('/anything'), null);
  assert.equal(roomOfPath('/r/'), '');
  assert.equal(roomOfPath('/r/blue/'), 'blue/');
  assert.equal(roomOfPath('/r/blue'), 'blue');
  assert.equal(roomOfPath('/r/100%'), '100%');
  assert.equal(roomOfPath(roomPath('Räume')), 'Räume');
  assert.equal(roomOfPath('/inspect/a%20b', '/inspect/'), 'a b');
  assert.equal(roomOfPath('/inspect', '/inspect/'), null);
});

test('an address is a page of ours, or none', () => {
  for (const path of ['/', '/r/', '/r/blue', '/r/a%20b', roomPath('Räume')]) assert.ok(isPage(path), path);
  for (const path of ['/anything', '/r', '/rooms/blue', '//']) assert.ok(!isPage(path), path);
});

test('names are judged by the server alone', async (context) => {
  const asked = [];
  context.mock.method(globalThis, 'fetch', async (address) => {
    asked.push(address);
    return Response.json({ name: 'Weekly-standup', key: 'weekly-standup' });
  });
  assert.equal((await askRoomName('Weekly standup & more')).name, 'Weekly-standup');
  assert.deepEqual(asked, ['/api/room-name?name=Weekly+standup+%26+more']);
});

test('a name that cannot be judged just now is no good name yet', async (context) => {
  for (const answer of [() => Promise.reject(new TypeError('offline')), () => new Response('', { status: 503 })]) {
    context.mock.method(globalThis, 'fetch', async () => answer());
    assert.match((await askDisplayName('Ada')).fault, /cannot be reached/);
  }
});
