// The client's connection: replies find their requests, a lost connection is resumed, a silent one is given up.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection, ConnectionLost, ProtocolError } from '../../../client/wire/connection.js';

class FakeSocket extends EventTarget {
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  /** @type {FakeSocket[]} */
  static all = [];
  readyState = FakeSocket.OPEN;
  sent = [];

  constructor(url, subprotocol) {
    super();
    this.url = url;
    this.subprotocol = subprotocol;
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.readyState = FakeSocket.CLOSED;
    this.closedWith = code;
  }

  says(message) {
    this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }));
  }

  breaks(code = 1006) {
    this.readyState = FakeSocket.CLOSED;
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason: '' }));
  }
}

const welcome = (resumeToken) => ({ type: 'welcome', resumeToken, iceServers: [], limits: { views: 4 } });
const joined = (more) => ({
  type: 'joined',
  room: 'blue',
  key: 'blue',
  you: 'p1',
  participants: [],
  streams: [],
  chat: [],
  ...more,
});
const settle = () => new Promise((resolve) => setImmediate(resolve));

function connect(t) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  FakeSocket.all = [];
  const connection = new Connection('ws://host/ws', { WebSocket: FakeSocket });
  const heard = [];
  for (const event of ['ready', 'lost', 'unasked']) {
    connection.on(event, (detail) => heard.push([event, detail]));
  }
  connection.open();
  return { connection, heard, socket: () => FakeSocket.all.at(-1) };
}

async function inRoom(t) {
  const all = connect(t);
  all.socket().says(welcome('T1'));
  await settle();
  const reply = all.connection.request({ type: 'join', room: 'blue' });
  all.socket().says(joined({ ref: all.socket().sent.at(-1).ref }));
  await reply;
  return all;
}

test('given a room, when the server is silent, the socket is closed without a goodbye and the session is resumed', async (t) => {
  const { socket } = await inRoom(t);
  const silent = socket();
  t.mock.timers.tick(20_000);
  assert.equal(silent.sent.at(-1).type, 'ping');
  t.mock.timers.tick(10_000);
  assert.equal(silent.closedWith, 4002);
  t.mock.timers.tick(1_000);
  socket().says(welcome('T2'));
  await settle();
  assert.deepEqual([socket().sent.at(-1).type, socket().sent.at(-1).token], ['resume', 'T1']);
});

test('given a room, when the user leaves it, the socket is closed with a goodbye', async (t) => {
  const { connection, socket } = await inRoom(t);
  const left = socket();
  connection.close();
  assert.equal(left.closedWith, 1000);
});

test('given a socket that the server is closing, what has no reply is not sent any more', async (t) => {
  const { connection, socket } = await inRoom(t);
  const before = socket().sent.length;
  socket().readyState = FakeSocket.CLOSING;
  connection.send({ type: 'leave' });
  assert.equal(socket().sent.length, before);
});

test('given no welcome yet, when a request is made, it fails', async (t) => {
  const { connection, socket } = connect(t);
  assert.equal(socket().subprotocol, 'roomfsm.v1');
  await assert.rejects(connection.request({ type: 'ping' }), ConnectionLost);
});

test('given two requests, when the replies come in another order, each gets its own', async (t) => {
  const { connection, socket } = await inRoom(t);
  const first = connection.request({ type: 'chat', text: 'a' });
  const second = connection.request({ type: 'chat', text: 'b' });
  const [a, b] = socket().sent.slice(-2);
  socket().says({ type: 'error', code: 'rate_limited', detail: 'slow down', ref: b.ref });
  socket().says({ type: 'chat', line: { seq: 1 }, ref: a.ref });
  assert.equal((await first).line.seq, 1);
  await assert.rejects(second, (error) => error instanceof ProtocolError && error.code === 'rate_limited');
});

test('given a refusal without ref, it is told as unasked', async (t) => {
  const { heard, socket } = await inRoom(t);
  socket().says({ type: 'error', code: 'no_such_stream', detail: 'late', message: 'candidate' });
  assert.equal(heard.at(-1)[0], 'unasked');
});

test('given a room, when the connection is lost, requests fail and the session is resumed', async (t) => {
  const { connection, heard, socket } = await inRoom(t);
  const pending = connection.request({ type: 'chat', text: 'a' });
  socket().breaks();
  await assert.rejects(pending, ConnectionLost);
  assert.equal(connection.state.phase, 'waiting');
  t.mock.timers.tick(500);
  assert.equal(FakeSocket.all.length, 2);
  socket().says(welcome('T2'));
  assert.deepEqual([socket().sent[0].type, socket().sent[0].token], ['resume', 'T1']);
  assert.equal(connection.ready, false);
  socket().says(joined({ resumed: true, ref: socket().sent[0].ref }));
  await settle();
  assert.equal(connection.ready, true);
  assert.equal(heard.at(-1)[1].joined.resumed, true);
});

test('given a resumed session, when it is lost again, the newest token resumes it', async (t) => {
  const { socket } = await inRoom(t);
  socket().breaks();
  t.mock.timers.tick(500);
  socket().says(welcome('T2'));
  socket().says(joined({ resumed: true, ref: socket().sent[0].ref }));
  await settle();
  socket().breaks();
  t.mock.timers.tick(1000);
  socket().says(welcome('T3'));
  assert.equal(socket().sent[0].token, 'T2');
});

test('given a session that is over, when it is resumed, a fresh one is ready', async (t) => {
  const { connection, heard, socket } = await inRoom(t);
  socket().breaks(1012);
  t.mock.timers.tick(500);
  socket().says(welcome('T2'));
  socket().says({ type: 'error', code: 'session_unknown', detail: 'over', ref: socket().sent[0].ref });
  await settle();
  assert.equal(connection.ready, true);
  assert.deepEqual(heard.at(-1), ['ready', { joined: null }]);
});

for (const code of [1008, 4001]) {
  test(`given close code ${code}, the client does not come back by itself`, async (t) => {
    const { connection, heard, socket } = await inRoom(t);
    socket().breaks(code);
    t.mock.timers.tick(60_000);
    assert.equal(FakeSocket.all.length, 1);
    assert.equal(connection.state.phase, 'closed');
    assert.deepEqual(heard.at(-1), ['lost', { code, final: true }]);
  });
}

test('given no server, the tries get rarer, up to ten seconds', async (t) => {
  const { socket } = connect(t);
  for (let tries = 0; tries < 8; tries += 1) {
    socket().breaks();
    t.mock.timers.tick(10_000);
    assert.equal(FakeSocket.all.length, tries + 2);
  }
  socket().breaks();
  t.mock.timers.tick(4_999);
  assert.equal(FakeSocket.all.length, 9);
});

test('given no pong within ten seconds of a ping, the connection counts as lost', async (t) => {
  const { connection, socket } = await inRoom(t);
  t.mock.timers.tick(20_000);
  const ping = socket().sent.at(-1);
  assert.equal(ping.type, 'ping');
  socket().says({ type: 'pong', ref: ping.ref });
  await settle();
  t.mock.timers.tick(20_000);
  assert.equal(connection.state.phase, 'open');
  t.mock.timers.tick(10_000);
  assert.equal(connection.state.phase, 'waiting');
});

test('given a socket without welcome for ten seconds, the connection counts as lost', (t) => {
  const { connection } = connect(t);
  t.mock.timers.tick(10_000);
  assert.equal(connection.state.phase, 'waiting');
});

test('given a lost socket, when it speaks after all, nobody listens', async (t) => {
  const { connection, socket } = await inRoom(t);
  const old = socket();
  old.breaks();
  t.mock.timers.tick(500);
  old.says(welcome('T9'));
  old.breaks();
  assert.equal(connection.state.phase, 'connecting');
  assert.equal(connection.welcome.resumeToken, 'T1');
});

test('given a doubt, when the server gives no sign of life within two seconds, the session is resumed', async (t) => {
  const { connection, socket } = await inRoom(t);
  const old = socket();
  connection.doubt();
  assert.equal(old.sent.at(-1).type, 'ping');
  connection.doubt();
  assert.equal(old.sent.filter(({ type }) => type === 'ping').length, 1);
  t.mock.timers.tick(1_999);
  assert.equal(connection.state.phase, 'open');
  t.mock.timers.tick(1);
  assert.equal(connection.state.phase, 'waiting');
  t.mock.timers.tick(500);
  socket().says(welcome('T2'));
  assert.deepEqual([socket().sent[0].type, socket().sent[0].token], ['resume', 'T1']);
});

test('given a doubt, when the server says anything, the connection is kept', async (t) => {
  const { connection, socket } = await inRoom(t);
  connection.doubt();
  t.mock.timers.tick(1_500);
  socket().says({ type: 'roomState', state: 'waiting' });
  t.mock.timers.tick(10_000);
  assert.equal(connection.state.phase, 'open');
  // A later doubt asks again.
  connection.doubt();
  assert.equal(socket().sent.filter(({ type }) => type === 'ping').length, 2);
});

test('given a websocket that does not open, when the browser is online again, its time is short', (t) => {
  const { connection } = connect(t);
  connection.online();
  t.mock.timers.tick(2_000);
  assert.equal(connection.state.phase, 'waiting');
  connection.online();
  assert.equal(connection.state.phase, 'connecting');
  assert.equal(FakeSocket.all.length, 2);
});

test('given no connection that is wanted, a doubt changes nothing', (t) => {
  const { connection } = connect(t);
  connection.close();
  connection.doubt();
  t.mock.timers.tick(60_000);
  assert.equal(FakeSocket.all.length, 1);
});

test('given a server that says what this page does not know, the rest goes on', async (t) => {
  const { connection, socket } = await inRoom(t);
  socket().says({ type: 'fireworks', colour: 'blue' });
  socket().says([]);
  socket().says(null);
  socket().says('text');
  assert.equal(connection.state.phase, 'open');
});
