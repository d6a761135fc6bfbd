// The page in a frame: whom it tells what happens, and whose wishes it carries out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellTheFrame } from '../../../client/page/frame.js';
import { Emitter } from '../../../client/wire/emitter.js';

const OUTSIDE = 'https://portal.example.org';

/** A page in a frame, with what it said to the window around it, and a way to speak to it. */
function framed() {
  const told = [];
  const listeners = [];
  const parent = { postMessage: (message, origin) => told.push([message, origin]) };
  const devices = { microphone: { on: false }, camera: { on: false } };
  for (const device of Object.values(devices))
    Object.assign(device, { turnOn: () => (device.on = true), turnOff: () => (device.on = false) });
  const client = Object.assign(new Emitter(), {
    name: '',
    people: [],
    media: { camera: false, microphone: false },
    room: Object.assign(new Emitter(), { presenting: { devices } }),
  });
  let left = 0;
  const window = { parent, addEventListener: (_, listener) => listeners.push(listener) };
  tellTheFrame(client, { leave: () => (left += 1), framed: window });
  const say = (data, { source = parent, origin = OUTSIDE } = {}) => {
    for (const listener of listeners) listener({ data, source, origin });
  };
  const enter = (name, people = 1) => {
    Object.assign(client, { name, people: Array(people).fill({}) });
    client.emit('entered', { room: name });
  };
  return { told, say, enter, client, devices, left: () => left };
}

test('a page that is in no frame says nothing', () => {
  const window = { addEventListener: () => assert.fail('it listens to nobody') };
  window.parent = window;
  tellTheFrame(new Emitter(), { leave() {}, framed: window });
});

test('it says only that it is ready, until somebody asks', () => {
  const { told, enter } = framed();
  enter('blue');
  assert.deepEqual(told, [[{ roomfsm: 'ready' }, '*']]);
});

test('who asks is told how it is and what happens, and nobody else is', () => {
  const { told, say, enter, client } = framed();
  enter('blue', 2);
  told.length = 0;
  say({ roomfsm: 'follow' });
  client.people = [{}];
  client.emit('people', client.people);
  client.emit('people', client.people);
  client.emit('left', { reason: 'kicked' });
  client.name = '';
  client.room.emit('moved', undefined);
  const messages = [
    { roomfsm: 'entered', room: 'blue' },
    { roomfsm: 'people', count: 2 },
    { roomfsm: 'media', camera: false, microphone: false },
    { roomfsm: 'people', count: 1 },
    { roomfsm: 'left', reason: 'kicked' },
  ];
  assert.deepEqual(told, messages.map((message) => [message, OUTSIDE]));
});

test('coming back to the same room is not told, and going to another is', () => {
  const { told, say, enter, client } = framed();
  say({ roomfsm: 'follow' });
  enter('blue');
  client.room.emit('moved', undefined);
  enter('blue');
  enter('green');
  client.name = '';
  client.room.emit('moved', undefined);
  const entered = told.filter(([{ roomfsm }]) => roomfsm === 'entered' || roomfsm === 'left').map(([message]) => message);
  assert.deepEqual(entered, [
    { roomfsm: 'entered', room: 'blue' },
    { roomfsm: 'entered', room: 'green' },
    { roomfsm: 'left', reason: 'user' },
  ]);
});

test('devices are turned by the window around it alone', () => {
  const { say, devices, left } = framed();
  say({ roomfsm: 'turn', device: 'microphone', on: true }, { source: {} });
  say({ roomfsm: 'leave' }, { source: {} });
  assert.deepEqual([devices.microphone.on, left()], [false, 0]);
  say({ roomfsm: 'turn', device: 'microphone', on: true });
  say({ roomfsm: 'turn', device: 'camera', on: 'yes' });
  for (const device of ['__proto__', 'constructor', 7, undefined]) say({ roomfsm: 'turn', device, on: true });
  assert.deepEqual([devices.microphone.on, devices.camera.on], [true, false]);
  say({ roomfsm: 'turn', device: 'microphone', on: false });
  say({ roomfsm: 'leave' });
  assert.deepEqual([devices.microphone.on, left()], [false, 1]);
});

test('a window without an origin is told nothing, because all such windows are alike', () => {
  const { told, say, enter } = framed();
  say({ roomfsm: 'follow' }, { origin: 'null' });
  enter('blue');
  assert.deepEqual(told.length, 1);
});

for (const data of [null, undefined, 7, 'leave', [], {}, { roomfsm: 'strange' }, { roomfsm: { toString: 1 } }])
  test(`the message ${JSON.stringify(data)} changes nothing`, () => {
    const { say, devices, left } = framed();
    say(data);
    assert.deepEqual([devices.microphone.on, devices.camera.on, left()], [false, false, 0]);
  });
