// What the page keeps of what it saw, for a report about a fault.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Record } from '../../../client/room/record.js';
import { Emitter } from '../../../client/wire/emitter.js';

function scene() {
  const connection = new Emitter();
  const room = Object.assign(new Emitter(), {
    status: 'outside',
    presenting: { publications: new Map() },
    watching: { views: new Map() },
  });
  let now = 0;
  const record = new Record(room, connection, () => (now += 1));
  return { connection, room, record, seen: () => record.entries.map(({ what }) => what) };
}

test('it has the states of the connection, the room and the media, each once', () => {
  const { connection, room, record, seen } = scene();
  for (const phase of ['connecting', 'connecting', 'open']) connection.emit('state', { phase });
  connection.emit('lost', { code: 1006, final: false });
  connection.emit('ready', { joined: {} });
  room.status = 'inside';
  for (const part of ['status', 'status', 'chat']) room.emit('change', part);
  const view = { state: 'negotiating' };
  room.watching.views.set('p2.camera', view);
  room.presenting.publications.set('camera', { state: 'connected', source: 'camera' });
  room.emit('change', 'media');
  view.state = 'connected';
  room.emit('change', 'media');
  room.emit('change', 'media');
  room.watching.views.clear();
  room.emit('change', 'media');
  assert.deepEqual(seen(), [
    'connection connecting',
    'connection open',
    'connection lost, code 1006',
    'session resumed',
    'room inside',
    'sending camera connected',
    'receiving p2.camera negotiating',
    'receiving p2.camera connected',
    'receiving p2.camera ended',
  ]);
  assert.deepEqual(record.entries.at(-1), { at: 9, what: 'receiving p2.camera ended' });
});

test('it names nobody, and no room', () => {
  const { room, record } = scene();
  const error = Object.assign(new Error('no entry for Ada'), { code: 'banned' });
  room.emit('news', { what: 'notEntered', room: 'secret', error, again: false, kind: 'error', topic: 'presence' });
  room.emit('news', { what: 'muted', by: 'Ada', hold: true, kind: 'info', topic: 'muted' });
  assert.deepEqual(record.entries.map(({ what }) => what), ['news notEntered banned', 'news muted']);
});

test('it keeps the newest two hundred', () => {
  const { record, seen } = scene();
  for (let count = 0; count < 250; count += 1) record.note(`${count}`);
  assert.equal(seen().length, 200);
  assert.deepEqual([seen()[0], seen().at(-1)], ['50', '249']);
});
