// What is known of the room after each of the server's messages.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergeChat, RoomState } from '../../../client/room/state.js';

const line = (seq) => ({ seq, participant: 'p2', name: 'Ben', text: `line ${seq}`, at: 0 });
const stream = (more) => ({
  id: 'p2.camera',
  participant: 'p2',
  source: 'camera',
  state: 'live',
  generation: 1,
  viewers: 0,
  ...more,
});
const joined = (more) => ({
  type: 'joined',
  room: 'blue',
  key: 'blue',
  you: 'p1',
  state: 'waiting',
  participants: [{ id: 'p1', name: 'Ann' }],
  streams: [],
  chat: [line(1), line(2)],
  ...more,
});
const seqs = (lines) => lines.map(({ seq }) => seq);

test('given a room, when people come, change and go, the roster follows', () => {
  const room = new RoomState(joined());
  assert.equal(room.apply({ type: 'participantJoined', participant: { id: 'p2', name: 'Ben' } }), 'people');
  room.apply({ type: 'participantChanged', participant: { id: 'p2', name: 'Bob', away: true } });
  assert.deepEqual(room.participants.get('p2'), { id: 'p2', name: 'Bob', away: true });
  room.apply({ type: 'participantLeft', participant: 'p2', reason: 'left' });
  assert.deepEqual([...room.participants.keys()], ['p1']);
  assert.equal(room.nameOf('p2'), '');
});

test('given an ended stream, when a late change of it comes, it stays ended', () => {
  const room = new RoomState(joined());
  room.apply({ type: 'streamStarted', stream: stream() });
  room.apply({ type: 'streamEnded', stream: 'p2.camera', reason: 'left' });
  assert.equal(room.apply({ type: 'streamChanged', stream: stream({ state: 'stalled' }) }), null);
  assert.equal(room.streams.size, 0);
});

test('given a line that was seen, when it comes again, it is shown once', () => {
  const room = new RoomState(joined());
  room.apply({ type: 'chat', line: line(3) });
  room.apply({ type: 'chat', line: line(3) });
  assert.deepEqual(seqs(room.chat), [1, 2, 3]);
});

test('given a resumed session, older lines stay and those missed are added', () => {
  const room = new RoomState(joined()).resumed(joined({ chat: [line(2), line(3)], state: 'broadcasting' }));
  assert.deepEqual(seqs(room.chat), [1, 2, 3]);
  assert.equal(room.state, 'broadcasting');
});

test('a line that was deleted is gone, also for one who was away meanwhile', () => {
  const room = new RoomState(joined({ chat: [line(1), line(2), line(3)] }));
  assert.equal(room.apply({ type: 'lineDeleted', line: 2 }), 'chat');
  assert.deepEqual(seqs(room.chat), [1, 3]);
  assert.deepEqual(seqs(room.resumed(joined({ chat: [line(2), line(4)] })).chat), [1, 2, 4]);
});

test('private lines stay where they were said, and are neither deleted nor taken for others', () => {
  const room = new RoomState(joined());
  const said = (text) => ({ ...line(2), text, to: 'p1' });
  for (const text of ['first', 'second', 'first']) room.apply({ type: 'chat', line: said(text) });
  room.apply({ type: 'chat', line: line(3) });
  const texts = ({ chat }) => chat.map(({ text }) => text);
  assert.deepEqual(texts(room), ['line 1', 'line 2', 'first', 'second', 'line 3']);
  room.apply({ type: 'lineDeleted', line: 2 });
  assert.deepEqual(texts(room), ['line 1', 'first', 'second', 'line 3']);
  assert.deepEqual(texts(room.resumed(joined({ chat: [line(3)] }))), ['line 1', 'first', 'second', 'line 3']);
});

test('given another room by the resumed session, its chat is its own', () => {
  const room = new RoomState(joined()).resumed(joined({ room: 'green', key: 'green', chat: [line(7)] }));
  assert.deepEqual(seqs(room.chat), [7]);
});

test('lines out of order are put in order, and of too many the newest are kept', () => {
  assert.deepEqual(seqs(mergeChat([line(2), line(4)], [line(3), line(1)])), [1, 2, 3, 4]);
  const many = mergeChat(
    [],
    Array.from({ length: 1001 }, (_, seq) => line(seq)),
  );
  assert.deepEqual([many.length, many[0].seq], [1000, 1]);
});

test('given a room that is entered again and goes on, its lines stay in their order, each once', () => {
  const room = new RoomState(joined({ chat: [line(1), line(2)] })).reentered(joined({ you: 'p9', chat: [line(2), line(3)] }));
  assert.deepEqual(seqs(room.chat), [1, 2, 3]);
  assert.deepEqual(room.before, []);
});

test('given a server that was restarted, what was on the page stays as from before, also a second time', () => {
  const restarted = (at) => joined({ chat: [{ ...line(1), at, text: `after ${at}` }] });
  let room = new RoomState(joined());
  room.apply({ type: 'chat', line: { ...line(2), text: 'in private', to: 'p1' } });
  room = room.reentered(joined({ chat: [] }));
  assert.deepEqual(room.before.map(({ text }) => text), ['line 1', 'line 2', 'in private']);
  assert.deepEqual(room.chat, []);
  room = room.reentered(restarted(5));
  assert.equal(room.before.length, 3);
  room = room.reentered(restarted(9)).resumed(restarted(9));
  assert.deepEqual(room.before.map(({ text }) => text), ['line 1', 'line 2', 'in private', 'after 5']);
  assert.deepEqual(room.chat.map(({ text }) => text), ['after 9']);
  room.apply({ type: 'chatCleared' });
  assert.deepEqual([room.before, room.chat], [[], []]);
});
