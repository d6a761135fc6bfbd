// What the user chose about devices, whatever the storage holds, and what the browser is asked for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changes, choicesFrom, constraintsFor, screenOptions } from '../../../client/media/choices.js';

const DEFAULT = choicesFrom(null, 8);

test('nothing that is stored can break the choices', () => {
  for (const stored of [null, undefined, 7, 'text', [], {}, { camera: 5, echo: 'no', picture: 'huge', screen: 1 }])
    assert.deepEqual(choicesFrom(stored, 8), DEFAULT);
  const chosen = { ...DEFAULT, camera: 'c', microphone: 'm', speaker: 's', echo: false, picture: 'low', screen: 'motion' };
  assert.deepEqual(choicesFrom({ ...chosen, more: 1 }, 8), chosen);
});

test('the picture is 720p unless the computer is small, and always only an ideal', () => {
  const { video } = constraintsFor('camera', DEFAULT);
  assert.deepEqual([video.width, video.height], [{ ideal: 1280 }, { ideal: 720 }]);
  assert.equal(choicesFrom(null, 2).picture, 'standard');
  assert.equal(choicesFrom({ picture: 'high' }, 2).picture, 'high');
});

test('a chosen device is an ideal, so that another one stands in when it is gone', () => {
  assert.deepEqual(constraintsFor('camera', { ...DEFAULT, camera: 'c' }).video.deviceId, { ideal: 'c' });
  assert.deepEqual(constraintsFor('microphone', { ...DEFAULT, microphone: 'm' }).audio.deviceId, { ideal: 'm' });
  assert.deepEqual(constraintsFor('camera', { ...DEFAULT, camera: 'side:environment' }).video.facingMode, {
    ideal: 'environment',
  });
});

test('echo, noise and volume are switches', () => {
  const { audio } = constraintsFor('microphone', { ...DEFAULT, echo: false, gain: false });
  assert.deepEqual(audio, { echoCancellation: false, noiseSuppression: true, autoGainControl: false });
});

test('neither device asks for the other', () => {
  assert.deepEqual(Object.keys(constraintsFor('camera', DEFAULT)), ['video']);
  assert.deepEqual(Object.keys(constraintsFor('microphone', DEFAULT)), ['audio']);
});

test('a choice starts only the device anew that it concerns', () => {
  const other = { ...DEFAULT, noise: false };
  assert.deepEqual([changes(DEFAULT, other, 'camera'), changes(DEFAULT, other, 'microphone')], [false, true]);
  assert.equal(changes(DEFAULT, { ...DEFAULT, speaker: 's', screen: 'motion' }, 'microphone'), false);
});

test('a film has more frames than a text', () => {
  assert.deepEqual(screenOptions({ ...DEFAULT, screen: 'motion' }).video.frameRate.ideal, 30);
  assert.deepEqual(screenOptions(DEFAULT).video.frameRate.ideal, 15);
});
