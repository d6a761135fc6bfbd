// Why the user is not in the room: the news about it, and the cause why there is no connection.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Absence } from '../../../client/room/absence.js';
import { findCause } from '../../../client/room/cause.js';
import { Emitter } from '../../../client/wire/emitter.js';

/** A network in which the websocket's address answers with `status`, and the health check with `health`. */
const network = (status, health) => ({
  online: true,
  fetch: async (address) =>
    address.endsWith('/ws')
      ? { status }
      : { status: 200, json: async () => JSON.parse(health) },
});
const OWN = '{"live": true}';

for (const [cause, browser] of Object.entries({
  offline: { online: false, fetch: async () => assert.fail('nothing is asked') },
  unreachable: { online: true, fetch: async () => Promise.reject(new TypeError('refused')) },
  away: network(502, '<html>Bad Gateway</html>'),
  origin: network(403, OWN),
  full: network(503, OWN),
  noUpgrade: network(426, OWN),
}))
  test(`a websocket that fails has the cause ${cause}`, async () => {
    assert.equal(await findCause('', browser), cause);
  });

test('a proxy’s own pages are not taken for the server’s answers', async () => {
  for (const status of [403, 404, 503]) assert.equal(await findCause('', network(status, '{"error": 1}')), 'away');
  assert.equal(await findCause('', network(503, 'null')), 'away');
});

/** A connection and a room whose events a test brings about, and the causes that are found. */
function absence(...causes) {
  const [room, connection] = [new Emitter(), Object.assign(new Emitter(), { ready: false })];
  const absent = new Absence(room, connection, async () => causes.shift() ?? 'unreachable');
  const lost = async () => {
    connection.emit('lost', { code: 1006, final: false });
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { absent, room, connection, lost };
}

test('a connection that worked is tried again before a cause is looked for', async () => {
  const { absent, connection, lost } = absence('full');
  connection.emit('ready', { joined: null });
  await lost();
  assert.equal(absent.cause, null);
  await lost();
  assert.equal(absent.cause, 'full');
  connection.emit('ready', { joined: null });
  assert.equal(absent.cause, null);
});

test('a missing upgrade is told only when it was found twice, because the server may just have come back', async () => {
  const { absent, lost } = absence('noUpgrade', 'unreachable', 'noUpgrade', 'noUpgrade');
  const told = [];
  for (let turn = 0; turn < 4; turn += 1) {
    await lost();
    told.push(absent.cause);
  }
  assert.deepEqual(told, [null, 'unreachable', null, 'noUpgrade']);
});

test('a cause that is found when the connection is there again is not told', async () => {
  const { absent, connection, lost } = absence('unreachable');
  connection.ready = true;
  await lost();
  assert.equal(absent.cause, null);
});

test('the news of the absence are kept until they are over', () => {
  const { absent, room } = absence();
  const news = { what: 'notEntered', topic: 'presence', room: 'blue', again: true };
  room.emit('news', { what: 'muted', topic: 'sound' });
  assert.equal(absent.news, null);
  room.emit('news', news);
  assert.equal(absent.news, news);
  room.emit('solved', 'sound');
  assert.equal(absent.news, news);
  room.emit('solved', 'presence');
  assert.equal(absent.news, null);
});
