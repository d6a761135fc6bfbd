// Names, addresses, waiting times and the layout of the stage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from '../../client/backoff.js';
import { tileWidth } from '../../client/grid.js';
import { Flow, receivedSoFar } from '../../client/flow.js';
import { cannotBeARoom, isPage, roomOfPath, roomPath } from '../../client/names.js';
import { askDisplayName, askRoomName } from '../../client/naming.js';
import { splitLinks } from '../../client/links.js';
import { withAudioRepair } from '../../client/peer.js';
import { ProtocolError } from '../../client/protocol.js';
import { explain } from '../../client/words.js';

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

test('who follows the address of what can be no room is told why, at no great length', () => {
  assert.equal(cannotBeARoom('a b', 'It has a space.'), '“a b” cannot be a room. It has a space.');
  assert.match(cannotBeARoom('', 'It is empty.'), /^A room’s name cannot be empty\./);
  assert.ok(cannotBeARoom('a'.repeat(5000), 'It is long.').length < 200);
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

test('web addresses in a text are told apart from it', () => {
  const links = (text) => {
    const pieces = splitLinks(text);
    assert.equal(pieces.map((piece) => piece.text).join(''), text);
    return pieces.filter((piece) => piece.href !== undefined).map((piece) => piece.href);
  };
  assert.deepEqual(links('see https://a.example/x?y=1#z, then http://b.example.'), [
    'https://a.example/x?y=1#z',
    'http://b.example/',
  ]);
  assert.deepEqual(links('(https://a.example/b_(c))'), ['https://a.example/b_(c)']);
  assert.deepEqual(links('<https://a.example/b>“https://c.example/”'), ['https://a.example/b', 'https://c.example/']);
  assert.deepEqual(links('HTTPS://A.example\nhttps://b.example'), ['https://a.example/', 'https://b.example/']);
  for (const text of ['', 'hello', 'https://', 'http://.', 'javascript:alert(1)', 'xhttp://a.example', 'ftp://a.example'])
    assert.deepEqual(links(text), [], text);
});

test('media that come no more for three seconds are stalled, until they come again', () => {
  const flow = new Flow();
  flow.measure(0, 0);
  flow.measure(0, 9_000);
  assert.equal(flow.stalled, false);
  flow.measure(10, 10_000);
  flow.measure(10, 12_999);
  assert.equal(flow.stalled, false);
  flow.measure(10, 13_000);
  assert.equal(flow.stalled, true);
  flow.measure(11, 14_000);
  assert.equal(flow.stalled, false);
});

test('decoded frames count; of sound only, packets', () => {
  const audio = { type: 'inbound-rtp', kind: 'audio', packetsReceived: 50 };
  const video = { type: 'inbound-rtp', kind: 'video', packetsReceived: 30, framesDecoded: 7 };
  assert.equal(receivedSoFar([{ type: 'transport' }]), 0);
  assert.equal(receivedSoFar([audio, { ...video, framesDecoded: 0 }]), 50);
  assert.equal(receivedSoFar([audio, video]), 7);
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

test('of a failure at the media server a person reads the reason', () => {
  const detail = 'no common video codec: the source sends H264, the viewer takes VP8';
  const failed = new ProtocolError({ type: 'error', code: 'media_failed', detail });
  assert.equal(explain(failed), `The media server could not do this. (${detail})`);
  const full = new ProtocolError({ type: 'error', code: 'room_full', detail: 'the room is full' });
  assert.ok(!explain(full).includes('('));
});

test('audio is offered with retransmission, once', () => {
  const lines = (...feedback) =>
    ['a=rtpmap:111 opus/48000/2', ...feedback, 'a=rtpmap:63 red/48000/2', 'a=rtpmap:96 VP8/90000', ''].join('\r\n');
  assert.equal(withAudioRepair(lines()), lines('a=rtcp-fb:111 nack'));
  assert.equal(withAudioRepair(withAudioRepair(lines())), lines('a=rtcp-fb:111 nack'));
});
