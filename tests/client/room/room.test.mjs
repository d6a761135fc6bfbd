// Being in a room: given a room that is wanted, what is asked for after each reply, loss and closing.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Room } from '../../../client/room/room.js';
import { ConnectionLost, ProtocolError } from '../../../client/wire/connection.js';
import { Emitter } from '../../../client/wire/emitter.js';

/** As much of a connection as a room needs; the test answers what was asked. */
class FakeConnection extends Emitter {
  ready = false;
  welcome = { limits: { views: 4 } };
  opened = 0;
  forgot = 0;
  sent = [];
  asked = [];

  open() {
    this.opened += 1;
  }

  close() {
    this.lose(1000, null);
  }

  forgetRoom() {
    this.forgot += 1;
  }

  send({ type }) {
    this.sent.push(type);
  }

  request(message) {
    return new Promise((resolve, reject) => this.asked.push({ ...message, resolve, reject }));
  }

  connects(joined = null) {
    this.ready = true;
    this.emit('ready', { joined });
  }

  lose(code = 1006, final = false) {
    this.ready = false;
    for (const { reject } of this.asked.splice(0)) reject(new ConnectionLost());
    if (final !== null) this.emit('lost', { code, final });
  }

  /** The oldest request that waits for a reply. */
  next() {
    return this.asked.shift();
  }

  async answer(message) {
    const { resolve } = this.next();
    this.emit('message', message);
    resolve(message);
    await settle();
  }

  async refuse(code, more = {}) {
    const { type, reject } = this.next();
    reject(new ProtocolError({ type: 'error', code, detail: code, message: type, ...more }));
    await settle();
  }
}

const joined = (room, more = {}) => ({
  type: 'joined',
  room,
  key: room.toLowerCase(),
  you: 'p1',
  state: 'waiting',
  participants: [],
  streams: [],
  chat: [],
  ...more,
});
const settle = () => new Promise((resolve) => setImmediate(resolve));

function start(t, wanted = 'blue', name = 'Ada') {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const connection = new FakeConnection();
  const room = new Room(connection);
  const told = [];
  room.on('news', ({ what }) => told.push(what));
  room.on('misnamed', ({ name }) => told.push(`misnamed ${name}`));
  /** @type {string[]} */
  const solved = [];
  room.on('solved', (topic) => solved.push(topic));
  room.enter(wanted, name);
  return { connection, room, told, solved, waits: () => connection.asked.map(({ type, room }) => `${type} ${room}`) };
}

async function inside(t, wanted = 'blue') {
  const all = start(t, wanted);
  all.connection.connects();
  await all.connection.answer(joined(wanted));
  return all;
}

test('a wanted room is joined as soon as there is a connection', async (t) => {
  const { connection, room, waits } = start(t);
  assert.deepEqual([room.status, connection.opened, waits()], ['entering', 1, []]);
  connection.connects();
  assert.deepEqual(waits(), ['join blue']);
  await connection.answer(joined('Blue'));
  assert.deepEqual([room.status, room.state.name, waits()], ['inside', 'Blue', []]);
});

test('a full room is asked again and again, at growing intervals', async (t) => {
  const { connection, room, told, waits } = start(t);
  connection.connects();
  for (const longest of [500, 1000, 2000]) {
    await connection.refuse('room_full');
    assert.deepEqual([room.status, waits()], ['entering', []]);
    t.mock.timers.tick(longest / 2 - 1);
    assert.deepEqual(waits(), []);
    t.mock.timers.tick(longest / 2 + 1);
    assert.deepEqual(waits(), ['join blue']);
  }
  assert.deepEqual(told, ['notEntered', 'notEntered', 'notEntered']);
});

test('what can never be entered is not asked again by itself', async (t) => {
  const { connection, room, told, waits } = start(t);
  connection.connects();
  await connection.refuse('unknown_message');
  t.mock.timers.tick(60_000);
  assert.deepEqual([room.status, waits(), told], ['refused', [], ['notEntered']]);
  room.enter('blue', 'Ada');
  assert.deepEqual(waits(), ['join blue']);
});

test('a name that can be no room leads out of it', async (t) => {
  const { connection, room, told } = start(t, 'a b');
  connection.connects();
  await connection.refuse('malformed', { path: '$.room' });
  assert.deepEqual([room.status, told, connection.sent], ['outside', ['misnamed a b'], ['leave']]);
});

test('a name that the server takes no longer is left out', async (t) => {
  const { connection, told } = start(t);
  connection.connects();
  await connection.refuse('malformed', { path: '$.name' });
  t.mock.timers.tick(1);
  const { type, name } = connection.next();
  assert.deepEqual([type, name, told], ['join', undefined, ['enteredNameless']]);
});

test('who goes to another room switches; who may not stays', async (t) => {
  const { connection, room, told, waits } = await inside(t);
  room.enter('red', 'Ada');
  assert.deepEqual(waits(), ['switch red']);
  await connection.refuse('room_full');
  assert.deepEqual([room.status, room.state.name, told, waits()], ['inside', 'blue', ['notSwitched'], []]);
  room.enter('Blue', 'Ada');
  await connection.refuse('already_in_room');
  assert.deepEqual([told, waits()], [['notSwitched'], []]);
  room.enter('red', 'Ada');
  await connection.answer(joined('red'));
  assert.equal(room.state.name, 'red');
});

const KNOCKING = { type: 'knocking', room: 'blue', key: 'blue' };

test('who has to wait in a lobby enters when a moderator admits', async (t) => {
  const { connection, room, told, waits } = start(t);
  connection.connects();
  connection.emit('message', KNOCKING);
  assert.deepEqual([room.status, told, waits()], ['knocking', ['waiting'], ['join blue']]);
  await connection.answer(joined('blue'));
  assert.equal(room.status, 'inside');
});

test('who is denied by a moderator does not ask again', async (t) => {
  const { connection, room, told, waits } = start(t);
  connection.connects();
  connection.emit('message', KNOCKING);
  await connection.refuse('denied');
  assert.deepEqual([room.status, told, waits()], ['refused', ['waiting', 'notEntered'], []]);
});

test('who waits in a lobby and wants another room by now leaves the lobby first', async (t) => {
  const { connection, room, waits } = start(t);
  connection.connects();
  connection.emit('message', KNOCKING);
  room.enter('red', 'Ada');
  assert.deepEqual([connection.sent, waits()], [['leave'], ['join blue']]);
  await connection.refuse('ended');
  assert.deepEqual([room.status, waits()], ['joining', ['join red']]);
});

test('who wants another room before the lobby is known does not wait there', async (t) => {
  const { connection, room, waits } = start(t);
  connection.connects();
  room.enter('red', 'Ada');
  connection.emit('message', KNOCKING);
  assert.deepEqual([room.status, connection.sent], ['knocking', ['leave']]);
  await connection.refuse('ended');
  assert.deepEqual(waits(), ['join red']);
});

test('who waits in a lobby knocks again after the connection was lost', async (t) => {
  const { connection, room, waits } = start(t);
  connection.connects();
  connection.emit('message', KNOCKING);
  connection.lose();
  assert.equal(room.status, 'entering');
  connection.connects();
  assert.deepEqual([room.status, waits()], ['joining', ['join blue']]);
});

test('a switch to a room with a lobby leaves the old room', async (t) => {
  const { connection, room, waits } = await inside(t);
  room.enter('red', 'Ada');
  connection.emit('message', { type: 'knocking', room: 'red', key: 'red' });
  assert.deepEqual([room.status, connection.forgot, waits()], ['knocking', 1, ['switch red']]);
  await connection.answer(joined('red'));
  assert.deepEqual([room.status, room.state.name], ['inside', 'red']);
});

test('who changes the mind while a request is under way ends up in the room that is wanted last', async (t) => {
  const { connection, room, waits } = start(t);
  connection.connects();
  room.enter('red', 'Ada');
  assert.deepEqual(waits(), ['join blue']);
  await connection.answer(joined('blue'));
  assert.deepEqual(waits(), ['switch red']);
  room.enter('green', 'Ada');
  await connection.refuse('room_full');
  assert.deepEqual(waits(), ['switch green']);
  await connection.answer(joined('green'));
  assert.deepEqual([room.state.name, waits()], ['green', []]);
});

for (const [code, more] of [
  ['room_full', {}],
  ['unknown_message', {}],
  ['malformed', { path: '$.room' }],
]) {
  test(`who wants another room by now asks for it as soon as the first is refused: ${code}`, async (t) => {
    const { connection, room, told, waits } = start(t, 'blue');
    connection.connects();
    room.enter('red', 'Ada');
    assert.deepEqual(waits(), ['join blue']);
    await connection.refuse(code, more);
    // Nobody waits, and nobody hears of a room that is not wanted any more.
    assert.deepEqual([room.status, waits(), told], ['joining', ['join red'], []]);
    await connection.answer(joined('red'));
    assert.deepEqual([room.status, room.state.name], ['inside', 'red']);
  });
}

test('who wants another room by now asks for it without the name that the server refused', async (t) => {
  const { connection, room, told } = start(t, 'blue');
  connection.connects();
  room.enter('red', 'Ada');
  await connection.refuse('malformed', { path: '$.name' });
  const { type, room: asked, name } = connection.next();
  assert.deepEqual([type, asked, name, told], ['join', 'red', undefined, ['enteredNameless']]);
});

test('a lost connection interrupts; the resumed session is inside again at once', async (t) => {
  const { connection, room, waits } = await inside(t);
  connection.lose();
  assert.equal(room.status, 'interrupted');
  connection.connects(joined('blue', { resumed: true }));
  assert.deepEqual([room.status, waits()], ['inside', []]);
});

test('a session that is over enters anew, and goes to the room that is wanted by then', async (t) => {
  const { connection, room, waits } = await inside(t);
  connection.lose();
  room.enter('red', 'Ada');
  assert.deepEqual(waits(), []);
  connection.connects();
  assert.deepEqual(waits(), ['join red']);
});

test('a switch that was under way when the connection was lost is asked for again', async (t) => {
  const { connection, room, waits } = await inside(t);
  room.enter('red', 'Ada');
  connection.lose();
  await settle();
  connection.connects(joined('blue', { resumed: true }));
  assert.deepEqual([room.status === 'outside', waits()], [false, ['switch red']]);
});

test('a join that was under way when the connection was lost is asked for again', async (t) => {
  const { connection, waits } = start(t);
  connection.connects();
  connection.lose();
  await settle();
  assert.deepEqual(waits(), []);
  connection.connects();
  assert.deepEqual(waits(), ['join blue']);
});

test('who is put out for good is not connected again by itself', async (t) => {
  const { connection, room, told, waits } = await inside(t);
  connection.lose(4001, true);
  t.mock.timers.tick(60_000);
  assert.deepEqual([room.status, told, waits()], ['refused', ['connectionEnded'], []]);
  room.enter('blue', 'Ada');
  assert.deepEqual([room.status, connection.opened], ['entering', 2]);
});

test('a room that closes is entered again after a while', async (t) => {
  const { connection, room, told, waits } = await inside(t);
  connection.emit('message', { type: 'closing', scope: 'room', reason: 'tidying' });
  assert.deepEqual([room.status, connection.forgot, told, waits()], ['entering', 1, ['roomCloses'], []]);
  t.mock.timers.tick(500);
  assert.deepEqual(waits(), ['join blue']);
});

test('the rooms of a server that closes are entered again at the next connection only', async (t) => {
  const { connection, told, waits } = await inside(t);
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'shutdown' });
  connection.emit('message', { type: 'closing', scope: 'room', reason: 'shutdown' });
  t.mock.timers.tick(60_000);
  assert.deepEqual([told, waits()], [['serverCloses'], []]);
  connection.lose(1001);
  connection.connects();
  assert.deepEqual(waits(), ['join blue']);
});

test('a server that is being restarted is waited for, with all that goes on, and nobody is alarmed', async (t) => {
  const { connection, room, told, waits } = await inside(t);
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'restarting' });
  assert.equal(room.status, 'restarting');
  for (const code of [1001, 1006]) connection.lose(code);
  t.mock.timers.tick(14_999);
  assert.deepEqual([room.status, told, connection.forgot], ['restarting', [], 0]);
  connection.connects(joined('blue', { resumed: true }));
  assert.equal(room.status, 'inside');
  t.mock.timers.tick(1);
  assert.deepEqual([room.status, told, waits()], ['inside', [], []]);
});

test('a server that is not back in time counts as lost, and its session may be resumed later', async (t) => {
  const { connection, room } = await inside(t);
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'restarting' });
  connection.lose(1001);
  t.mock.timers.tick(15_000);
  assert.equal(room.status, 'interrupted');
  connection.connects(joined('blue', { resumed: true }));
  assert.equal(room.status, 'inside');
});

test('a server that is restarted without its rooms is entered as any other', async (t) => {
  const { connection, room, waits } = await inside(t);
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'restarting' });
  connection.lose(1001);
  connection.connects();
  assert.deepEqual([room.status, waits()], ['joining', ['join blue']]);
});

test('whoever is in no room yet is told that the server closes', async (t) => {
  const { connection, room, told } = start(t);
  connection.connects();
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'restarting' });
  assert.deepEqual([room.status, told], ['joining', ['serverCloses']]);
});

test('a server that will close is no reason to leave, and its notice goes when it has closed', async (t) => {
  const { connection, room, told, solved } = await inside(t);
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'shutdown', seconds: 60 });
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'shutdown', seconds: 10 });
  assert.deepEqual([room.status, told], ['inside', ['serverDrains', 'serverDrains']]);
  assert.equal(solved.includes('drain'), false);
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'shutdown' });
  assert.deepEqual([told.at(-1), solved.at(-1)], ['serverCloses', 'drain']);
  connection.lose(1001);
  assert.equal(room.status, 'interrupted');
});

test('who leaves is in no room, and nothing brings one back', async (t) => {
  const { connection, room, waits } = start(t);
  connection.connects();
  await connection.refuse('room_full');
  room.leave();
  t.mock.timers.tick(60_000);
  assert.deepEqual([room.status, room.state, waits(), connection.sent], ['outside', null, [], ['leave']]);
});

test('while a switch is under way one may present', async (t) => {
  const { room } = await inside(t);
  room.enter('red', 'Ada');
  assert.equal(room.mayPresent ?? room.status === 'inside', true);
});


test('whoever comes back to a room that is closing enters it again, for nobody says so again', async (t) => {
  const { connection, room, told, waits } = await inside(t);
  connection.lose();
  connection.connects(joined('blue', { state: 'closing', resumed: true }));
  assert.deepEqual([room.status, told, connection.forgot, waits()], ['entering', ['roomCloses'], 1, []]);
  t.mock.timers.tick(10_000);
  assert.deepEqual(waits(), ['join blue']);
  await connection.answer(joined('blue'));
  assert.equal(room.status, 'inside');
});

test('the server may say that it closes while the session is being resumed', async (t) => {
  const { connection, room, told } = await inside(t);
  connection.lose();
  connection.emit('message', { type: 'closing', scope: 'server', reason: 'shutdown' });
  assert.deepEqual([room.status, told], ['interrupted', ['serverCloses']]);
});

test('a room that closes may fail, too, while its page already asks to enter again', async (t) => {
  const { connection, room, told, waits } = await inside(t);
  for (let times = 0; times < 2; times += 1)
    connection.emit('message', { type: 'closing', scope: 'room', reason: 'room_failed' });
  assert.deepEqual([room.status, told], ['entering', ['roomCloses']]);
  t.mock.timers.tick(10_000);
  connection.emit('message', { type: 'closing', scope: 'room', reason: 'room_failed' });
  assert.deepEqual([room.status, waits()], ['joining', ['join blue']]);
});

test('a room that a moderator closed is not entered again unless the user wants that', async (t) => {
  const { connection, room, told, waits } = await inside(t);
  connection.emit('message', { type: 'closing', scope: 'room', reason: 'moderator' });
  t.mock.timers.tick(60_000);
  assert.deepEqual([room.status, told, waits()], ['refused', ['putOut'], []]);
  room.tryAgain();
  assert.deepEqual(waits(), ['join blue']);
});
