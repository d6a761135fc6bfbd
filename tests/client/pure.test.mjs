// Names, addresses, waiting times and the layout of the stage.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from '../../client/backoff.js';
import { tileWidth } from '../../client/grid.js';
import { Flow, receivedSoFar } from '../../client/flow.js';
import {
  addressFault,
  displayNameFault,
  foldRoomName,
  roomNameFault,
  roomOfPath,
  roomPath,
} from '../../client/names.js';
import { splitLinks } from '../../client/links.js';
import { ProtocolError } from '../../client/protocol.js';
import { explain } from '../../client/words.js';

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
  assert.equal(roomOfPath('/anything'), null);
  assert.equal(roomOfPath('/r/'), '');
  assert.equal(roomOfPath('/r/blue/'), 'blue/');
  assert.equal(roomOfPath('/r/blue'), 'blue');
  assert.equal(roomOfPath('/r/100%'), '100%');
  assert.equal(roomOfPath(roomPath('Räume')), 'Räume');
  assert.equal(roomOfPath('/inspect/a%20b', '/inspect/'), 'a b');
  assert.equal(roomOfPath('/inspect', '/inspect/'), null);
});

test('an address without a page is told why', () => {
  for (const path of ['/', '/r/blue', roomPath('Räume')]) assert.equal(addressFault(path), null, path);
  for (const path of ['/r/', '/r/a%20b', '/r/blue/', '/r/a/b', '/r/100%', `/r/${'a'.repeat(65)}`])
    assert.match(addressFault(path), /cannot be a room\./, path);
  for (const path of ['/anything', '/r', '/rooms/blue', '//'])
    assert.equal(addressFault(path), 'There is no page at this address.', path);
  assert.ok(addressFault(`/r/${'a'.repeat(5000)}`).length < 200);
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
