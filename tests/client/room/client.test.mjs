// The library's client: each promise ends, each error has a code, and each event is told once.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { connect, RoomfsmError } from '../../../client/roomfsm.js';
import { addressOf } from '../../../client/room/address.js';
import { Stream, Track } from '../media/browser.mjs';

const ADA = { id: 'p1', name: 'Ada', role: 'presenter' };
const BOB = { id: 'p2', name: 'Bob', role: 'presenter' };
const line = (seq, text) => ({ seq, participant: 'p2', name: 'Bob', text, at: `2026-01-01T00:00:0${seq}Z` });
/** All that follows without the clock has happened: the socket below answers in the next turn of the loop. */
async function settle() {
  for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** What a server answers to each type of message; the test may replace any. */
const ANSWERS = {
  join: ({ room, ref }) => ({
    type: 'joined',
    ref,
    room: room[0].toUpperCase() + room.slice(1),
    key: room.toLowerCase(),
    you: 'p1',
    state: 'waiting',
    participants: [ADA],
    streams: [],
    chat: [line(1, 'before')],
  }),
  chat: ({ ref }) => ({ type: 'error', ref, code: 'rate_limited', detail: 'too fast', message: 'chat' }),
  switch: (message) => ANSWERS.join(message),
};
const refusal = (code) => ({ ref, type: message }) => ({ type: 'error', ref, code, detail: code, message });

let clients = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.leave();
});

/** A client, what it said to the server and told its program, and a way for the server to speak. */
function client({ answers = {}, opens = true, fetch } = {}) {
  const said = [];
  const told = [];
  const sockets = [];
  class Socket extends EventTarget {
    static OPEN = 1;
    readyState = 1;

    constructor() {
      super();
      sockets.push(this);
      if (opens) setImmediate(() => this.says({ type: 'welcome', resumeToken: 'T', iceServers: [], limits: { views: 4 } }));
      else setImmediate(() => this.breaks());
    }

    send(text) {
      const message = JSON.parse(text);
      said.push(message);
      const answer = ({ ...ANSWERS, ...answers })[message.type]?.(message);
      if (answer) setImmediate(() => this.says(answer));
    }

    close() {
      this.readyState = 3;
    }

    says(message) {
      this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify(message) }));
    }

    breaks(code = 1006) {
      this.readyState = 3;
      this.dispatchEvent(Object.assign(new Event('close'), { code }));
    }
  }
  if (fetch) globalThis.fetch = fetch;
  const made = connect('http://localhost:8080', { WebSocket: Socket });
  clients.push(made);
  for (const event of ['entered', 'waiting', 'left', 'people', 'chat', 'problem'])
    made.on(event, (detail) => told.push([event, detail]));
  const types = () => said.map(({ type }) => type);
  const names = () => told.map(([event]) => event);
  return { made, said, told, types, names, socket: () => sockets.at(-1), sockets };
}

const code = (promise) => promise.then(() => assert.fail('it is no error'), (error) => {
  assert.ok(error instanceof RoomfsmError, String(error));
  assert.ok(error.message.length > 0);
  return error.code;
});

test('who enters is in the room as the server spells it, and knows what is there', async () => {
  const { made, told, said } = client();
  assert.deepEqual(await made.enter('blue', { name: 'Ada', token: 't' }), { room: 'Blue' });
  assert.deepEqual([made.name, made.state, made.me, made.chat.length], ['Blue', 'inside', ADA, 1]);
  assert.deepEqual([said[0].name, said[0].token], ['Ada', 't']);
  assert.deepEqual(told, [
    ['entered', { room: 'Blue' }],
    ['people', [ADA]],
    ['chat', line(1, 'before')],
  ]);
});

test('each line is told once, whatever is sent again', async () => {
  const { made, told, socket } = client();
  await made.enter('blue');
  for (const seq of [2, 2, 3]) socket().says({ type: 'chat', line: line(seq, `line ${seq}`) });
  assert.deepEqual(told.filter(([event]) => event === 'chat').map(([, { seq }]) => seq), [1, 2, 3]);
});

test('what is in the chat no more is not remembered', async () => {
  const { made, told, socket } = client();
  await made.enter('blue');
  for (const message of [{ type: 'chatCleared' }, { type: 'chat', line: line(1, 'before') }]) socket().says(message);
  assert.equal(told.filter(([event]) => event === 'chat').length, 2);
});

test('who enters the room again in which one is knows it at once, and who turns elsewhere is told of the last room', async () => {
  const { made, types } = client();
  await made.enter('blue');
  assert.deepEqual(await made.enter('Blue'), { room: 'Blue' });
  assert.equal(types().includes('switch'), false);
  const overtaken = code(made.enter('green'));
  const back = made.enter('red');
  assert.deepEqual([await overtaken, await back], ['left', { room: 'Red' }]);
});

test('people who come and go are told', async () => {
  const { made, told, socket } = client();
  await made.enter('blue');
  socket().says({ type: 'participantJoined', participant: BOB });
  socket().says({ type: 'participantLeft', participant: 'p2', reason: 'left' });
  assert.deepEqual(told.filter(([event]) => event === 'people').map(([, { length }]) => length), [1, 2, 1]);
});

for (const reason of ['room_full', 'banned', 'token_expired', 'password_wrong', 'server_closing', 'malformed', 'new_in_a_later_version'])
  test(`a room that refuses with ${reason} rejects the promise, and is not tried again`, async () => {
    const { made, types, sockets } = client({ answers: { join: refusal(reason) } });
    assert.equal(await code(made.enter('blue')), reason);
    await settle();
    assert.deepEqual([types().filter((type) => type === 'join').length, sockets.length, made.name], [1, 1, '']);
  });

test('a password is brought at the next attempt', async () => {
  const { made, said } = client({
    answers: { join: (message) => (message.password === 'p' ? ANSWERS.join(message) : refusal('password_wrong')(message)) },
  });
  assert.equal(await code(made.enter('blue')), 'password_wrong');
  await made.enter('blue', { password: 'p' });
  assert.equal(said.findLast(({ type }) => type === 'join').password, 'p');
});

test('who waits in the lobby is told so, and is in when a moderator decides it', async () => {
  let admit;
  const { made, names, socket } = client({ answers: { join: (message) => ((admit = message), { type: 'knocking' }) } });
  const entering = made.enter('blue');
  await settle();
  assert.deepEqual([names(), made.state], [['waiting'], 'knocking']);
  socket().says(ANSWERS.join(admit));
  assert.deepEqual(await entering, { room: 'Blue' });
});

test('an attempt that another one or a leave overtakes is rejected', async () => {
  const { made } = client();
  const first = code(made.enter('blue'));
  const second = code(made.enter('green'));
  made.leave();
  assert.deepEqual([await first, await second], ['left', 'left']);
});

test('who is in a room goes to another, and stays if it cannot be entered', async () => {
  let full = false;
  const { made, names, told } = client({ answers: { switch: (message) => (full ? refusal('room_full') : ANSWERS.join)(message) } });
  await made.enter('blue');
  assert.deepEqual(await made.enter('green'), { room: 'Green' });
  assert.deepEqual(told.filter(([event]) => event === 'chat').length, 2);
  full = true;
  assert.equal(await code(made.enter('red')), 'room_full');
  assert.deepEqual([made.name, made.state, names().includes('left')], ['Green', 'inside', false]);
});

/** A server of which a plain request is answered so. */
const answering = (status, live = '{"live":true}') => async (address) =>
  address.endsWith('/ws') ? { status } : { json: async () => JSON.parse(live) };
for (const [cause, fetch] of Object.entries({
  origin: answering(403),
  full: answering(503),
  noUpgrade: answering(426),
  away: answering(404, '{}'),
  unreachable: async () => Promise.reject(new TypeError('refused')),
}))
  test(`a first connection that fails is told with its cause, ${cause}`, async () => {
    const { made, sockets } = client({ opens: false, fetch });
    assert.equal(await code(made.enter('blue')), cause);
    assert.equal(made.state, 'outside');
    await settle();
    assert.equal(sockets.length, 1);
  });

test('a connection that is lost later is made again without a word', async () => {
  const { made, names, socket } = client();
  await made.enter('blue');
  socket().breaks();
  assert.equal(made.state, 'interrupted');
  assert.deepEqual(names().filter((event) => event === 'left' || event === 'problem'), []);
});

test('who is put out is told why, and who leaves is not', async () => {
  const { made, told, names, socket } = client();
  await made.enter('blue');
  socket().says({ type: 'participantLeft', participant: 'p1', reason: 'kicked' });
  assert.deepEqual(told.find(([event]) => event === 'left'), ['left', { reason: 'kicked' }]);
  const other = client();
  await other.made.enter('blue');
  other.made.leave();
  assert.equal(other.names().includes('left'), false);
  assert.deepEqual([other.made.name, other.made.people, names().filter((event) => event === 'left').length], ['', [], 1]);
});

test('what the server refuses has its code, and what needs a room has one, too', async () => {
  const { made } = client();
  assert.equal(await code(made.say('hello')), 'connection_lost');
  assert.equal(await code(made.present({ camera: true })), 'not_inside');
  await made.enter('blue');
  assert.equal(await code(made.say('hello')), 'rate_limited');
  assert.equal(await code(made.present({ camera: true })), 'no_webrtc');
  assert.deepEqual(await made.statistics(), []);
});

test('a listener that fails harms neither the others nor the library', async (t) => {
  const thrown = [];
  t.mock.method(globalThis, 'queueMicrotask', (report) => thrown.push(report));
  const { made, names } = client();
  for (const event of ['entered', 'people', 'chat', 'state'])
    made.on(event, () => {
      throw new Error(`a mistake in ${event}`);
    });
  assert.deepEqual(await made.enter('blue'), { room: 'Blue' });
  assert.deepEqual([names(), made.state], [['entered', 'people', 'chat'], 'inside']);
  assert.throws(() => thrown[0](), /a mistake in state/);
});

test('a page without https is told that it gets no device for that reason', async (t) => {
  browser(t);
  Object.defineProperty(globalThis, 'isSecureContext', { configurable: true, value: false });
  t.after(() => delete globalThis.isSecureContext);
  delete navigator.mediaDevices;
  const { made } = client();
  await made.enter('blue');
  for (const what of ['camera', 'microphone', 'screen'])
    assert.equal(await code(made.present({ [what]: true })), 'insecure_page');
});

/** A browser whose camera and screen are given, or not, when the test says so. */
function browser(t) {
  const asked = [];
  const ask = () => new Promise((resolve, reject) => asked.push({ resolve, reject }));
  const globals = {
    navigator: { mediaDevices: { getUserMedia: ask, getDisplayMedia: ask, enumerateDevices: async () => [] } },
    MediaStream: Stream,
    // It goes on offering for ever.
    RTCPeerConnection: class extends EventTarget {
      addTransceiver = () => ({ sender: {} });
      getTransceivers = () => [];
      createOffer = () => new Promise(() => {});
      close() {}
    },
  };
  for (const [name, value] of Object.entries(globals)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { configurable: true, writable: true, value });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
  return asked;
}

for (const what of ['camera', 'screen'])
  test(`a ${what} that is refused, stopped or left behind before it is sent rejects its promise`, async (t) => {
    const asked = browser(t);
    const { made } = client();
    await made.enter('blue');
    const refused = code(made.present({ [what]: true }));
    await settle();
    asked.shift().reject(Object.assign(new Error('no'), { name: 'NotAllowedError' }));
    assert.equal(await refused, 'device_blocked');
    if (what === 'camera') {
      const stopped = code(made.present({ camera: true }));
      made.stop();
      assert.equal(await stopped, 'stopped');
    }
    const left = code(made.present({ [what]: true }));
    await settle();
    made.leave();
    assert.match(await left, /^(left|stopped)$/);
    asked.at(-1).reject(new Error('too late'));
    await made.enter('blue');
    assert.equal(await code(made.present({})), 'nothing_to_send');
    await made.present({ camera: false, screen: false });
  });

/** A stream that reaches the room, as far as the client looks at it. */
const publication = (source, tracks) => ({
  source,
  works: true,
  hadSound: true,
  stream: new Stream(tracks),
  peer: null,
  has: () => true,
  put() {},
  drop() {},
  startAnew() {},
  streamId: () => `p1.${source}`,
  stop: async () => {},
  releaseDevices() {
    for (const track of this.stream.getTracks()) track.stop();
  },
});

test('a microphone that is refused beside a camera that is sent rejects its promise', async (t) => {
  const asked = browser(t);
  const { made } = client();
  await made.enter('blue');
  made.room.presenting.publications.set('camera', publication('camera', []));
  const camera = made.present({ camera: true });
  await settle();
  asked.shift().resolve(new Stream([new Track('video')]));
  await camera;
  const refused = code(made.present({ microphone: true }));
  await settle();
  asked.shift().reject(Object.assign(new Error('no'), { name: 'NotAllowedError' }));
  assert.equal(await refused, 'device_blocked');
  const given = made.present({ microphone: true });
  let done = false;
  void given.then(() => (done = true));
  await settle();
  assert.equal(done, false);
  asked.shift().resolve(new Stream([new Track('audio')]));
  await given;
});

test('the devices are sent again when they are asked for, or when the room was left', async (t) => {
  const asked = browser(t);
  globalThis.MediaStream = Stream;
  t.after(() => delete globalThis.MediaStream);
  const { made } = client();
  const canvas = new Track('video');
  const present = async (what) => {
    await made.enter('blue');
    made.room.presenting.publications.set('camera', publication('camera', []));
    const presented = made.present(what);
    await settle();
    asked.shift()?.resolve(new Stream([new Track('video')]));
    await presented;
    return made.room.presenting.devices.camera.track.copyOf;
  };
  assert.equal(await present(new Stream([canvas])), canvas);
  assert.equal(await present({ camera: true }), undefined);
  assert.equal(await present(new Stream([canvas])), canvas);
  made.leave();
  await made.enter('blue');
  made.room.presenting.devices.camera.turnOn();
  await settle();
  assert.equal(asked.length, 1);
});

test('another stream replaces the screen, and one that comes too early is let go', async (t) => {
  browser(t);
  globalThis.MediaStream = Stream;
  t.after(() => delete globalThis.MediaStream);
  const { made } = client();
  await made.enter('blue');
  const { presenting } = made.room;
  const first = new Track('video');
  presenting.publications.set('screen', publication('screen', [first]));
  const copies = [];
  const second = Object.assign(new Track('video'), { clone: () => (copies.push(new Track('video')), copies.at(-1)) });
  void made.present(new Stream([second]), 'screen').catch(() => {});
  await settle();
  assert.equal(first.readyState, 'ended');
  assert.deepEqual(presenting.publications.get('screen').stream.getTracks(), copies);
  presenting.busy.add('screen');
  assert.equal(await code(made.present(new Stream([second]), 'screen')), 'already_shared');
  presenting.busy.delete('screen');
  assert.deepEqual([copies.length, copies[1].readyState, second.readyState], [2, 'ended', 'live']);
});

const PAGE = { protocol: 'https:', href: 'https://portal.example.org/a/b' };
for (const [given, socket] of [
  ['https://rooms.example.org', 'wss://rooms.example.org/ws'],
  ['https://rooms.example.org/', 'wss://rooms.example.org/ws'],
  ['https://rooms.example.org/rooms/?x#y', 'wss://rooms.example.org/rooms/ws'],
  ['https://rooms.example.org:8443', 'wss://rooms.example.org:8443/ws'],
  ['http://localhost:8080', 'ws://localhost:8080/ws'],
  ['http://127.0.0.1:8080', 'ws://127.0.0.1:8080/ws'],
  ['http://[::1]:8080', 'ws://[::1]:8080/ws'],
  ['/rooms', 'wss://portal.example.org/rooms/ws'],
  [new URL('https://rooms.example.org'), 'wss://rooms.example.org/ws'],
])
  test(`the server at ${given} has the websocket ${socket}`, () => assert.equal(addressOf(given, PAGE).socket, socket));

for (const [given, fault] of [
  ['http://rooms.example.org', 'insecure_server'],
  ['http://localhost.example.org', 'insecure_server'],
  ['ftp://rooms.example.org', 'bad_address'],
  ['javascript:alert(1)', 'bad_address'],
  ['https://', 'bad_address'],
])
  test(`${given} is refused as ${fault}`, () => assert.throws(() => addressOf(given, PAGE), { code: fault }));
test('an address without a page must be whole', () => {
  for (const given of ['', '/rooms', 'rooms.example.org', undefined])
    assert.throws(() => addressOf(given, undefined), { code: 'bad_address' });
});
