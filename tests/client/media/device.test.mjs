// A camera or microphone: given its state, when the user, the browser or a plug does something, then the next state.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choicesFrom } from '../../../client/media/choices.js';
import { Device } from '../../../client/media/device.js';
import { DeviceError } from '../../../client/media/devices.js';
import { Devices, settle } from './browser.mjs';

function camera() {
  const browser = new Devices();
  const device = new Device('camera', () => choicesFrom(null, 8), browser);
  const told = [];
  device.on('refused', ({ reason }) => told.push(reason));
  device.on('lost', () => told.push('lost'));
  device.on('solved', () => told.push('solved'));
  return { browser, device, told };
}

async function cameraOn() {
  const all = camera();
  all.device.turnOn();
  const track = await all.browser.grant();
  return { ...all, track };
}

test('a camera that is turned on asks the browser, is on when the browser gives it, and is let go when off', async () => {
  const { browser, device } = camera();
  assert.deepEqual([device.state, device.wanted], ['off', false]);
  device.turnOn();
  assert.deepEqual([device.state, device.wanted, browser.asked.length], ['asking', true, 1]);
  const track = await browser.grant();
  assert.deepEqual([device.state, device.wanted], ['on', true]);
  assert.equal(device.track, track);
  device.turnOff();
  assert.deepEqual([device.state, device.track, track.readyState], ['off', null, 'ended']);
});

test('a camera that comes after it was turned off again is let go at once', async () => {
  const { browser, device } = camera();
  device.turnOn();
  device.turnOff();
  const late = await browser.grant();
  assert.deepEqual([device.state, device.track, late.readyState], ['off', null, 'ended']);
});

test('of two questions only the newer one is answered', async () => {
  const { browser, device } = camera();
  device.turnOn();
  device.turnOff();
  device.turnOn();
  const late = await browser.grant();
  assert.deepEqual([device.state, late.readyState], ['asking', 'ended']);
  const track = await browser.grant();
  assert.deepEqual([device.state, device.track === track], ['on', true]);
});

for (const [reason, state] of [
  ['NotAllowedError', 'blocked'],
  ['SecurityError', 'blocked'],
  ['NotReadableError', 'blocked'],
  ['AbortError', 'blocked'],
  ['insecure_page', 'blocked'],
  ['unsupported', 'blocked'],
  ['NotFoundError', 'absent'],
  ['OverconstrainedError', 'absent'],
])
  test(`a camera that is refused with ${reason} is ${state}, is told, and can be tried again`, async () => {
    const { browser, device, told } = camera();
    device.turnOn();
    await browser.refuse(new DeviceError('camera', reason));
    assert.deepEqual([device.state, device.wanted, device.fault.reason], [state, false, reason]);
    assert.equal(told.at(-1), reason);
    device.turnOn();
    assert.deepEqual([device.state, device.fault, told.at(-1)], ['asking', null, 'solved']);
    await browser.grant();
    assert.equal(device.state, 'on');
  });

test('a camera that is unplugged is lost, and goes on by itself when it is back', async () => {
  const { browser, device, told, track } = await cameraOn();
  browser.plugged.camera = ['another'];
  track.end();
  assert.deepEqual([device.state, device.wanted, device.track, told.at(-1)], ['lost', true, null, 'lost']);
  await browser.change({ camera: ['another'], microphone: [] });
  assert.deepEqual([device.state, browser.asked.length], ['lost', 0]);
  await browser.change({ camera: ['another', 'the video device'] });
  assert.deepEqual([device.state, browser.asked.length], ['asking', 1]);
  await browser.grant();
  assert.deepEqual([device.state, told.at(-1)], ['on', 'solved']);
});

test('a camera that was lost and is not ready yet stays wanted', async () => {
  const { browser, device, track } = await cameraOn();
  track.end();
  await browser.change({});
  await browser.refuse(new DeviceError('camera', 'NotFoundError'));
  assert.equal(device.state, 'lost');
  await browser.change({});
  await browser.refuse(new DeviceError('camera', 'NotAllowedError'));
  assert.equal(device.state, 'blocked');
});

test('a camera that was lost and is turned off does not come back by itself', async () => {
  const { browser, device, track } = await cameraOn();
  track.end();
  device.turnOff();
  await browser.change({});
  assert.deepEqual([device.state, browser.asked.length], ['off', 0]);
});

test('a permission that is given again brings a lost camera back, and unblocks a blocked one without turning it on', async () => {
  const { browser, device, track } = await cameraOn();
  track.end();
  const allow = () => {
    browser.permission.state = 'granted';
    browser.permission.dispatchEvent(new Event('change'));
  };
  allow();
  assert.equal(device.state, 'asking');
  await browser.refuse(new DeviceError('camera', 'NotAllowedError'));
  allow();
  assert.deepEqual([device.state, browser.asked.length], ['off', 0]);
});

test('where no camera was, one that is plugged in can be turned on, and is not on by itself', async () => {
  const { browser, device } = camera();
  device.turnOn();
  await browser.refuse(new DeviceError('camera', 'NotFoundError'));
  await browser.change({});
  assert.deepEqual([device.state, device.fault, browser.asked.length], ['off', null, 0]);
});

test('another choice releases the camera before it asks for the other one', async () => {
  const { browser, device, track } = await cameraOn();
  device.choose();
  assert.deepEqual([device.state, track.readyState, browser.asked.length], ['asking', 'ended', 1]);
  await browser.grant();
  assert.equal(device.state, 'on');
  device.turnOff();
  device.choose();
  await settle();
  assert.deepEqual([device.state, browser.asked.length], ['off', 0]);
});

test('another choice unblocks a camera that was blocked', async () => {
  const { browser, device } = camera();
  device.turnOn();
  await browser.refuse(new DeviceError('camera', 'NotReadableError'));
  device.choose();
  assert.deepEqual([device.state, device.fault], ['off', null]);
});

test('a microphone that a moderator keeps off does not ask the browser, and says so until it may be on', async () => {
  const { browser, device, told } = camera();
  device.on('held', () => told.push('held'));
  device.isHeld = () => true;
  device.turnOn();
  assert.deepEqual([device.state, browser.asked.length, told], ['off', 0, ['held']]);
  device.isHeld = () => false;
  device.turnOn();
  await browser.grant();
  assert.equal(device.state, 'on');
});
