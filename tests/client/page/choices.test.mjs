// What the user has chosen about the stage, and how loud each person is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choicesFrom, choose, chosen, loudnessFrom, loudnessOf, setLoudness } from '../../../client/page/choices.js';

test('without a choice whoever speaks is large, and the own camera is shown as in a mirror', () => {
  const defaults = { arrangement: 'speaker', selfView: true, mirrored: true };
  for (const stored of [undefined, null, 7, 'grid', {}, { arrangement: 'round', selfView: 1, mirrored: 'no' }])
    assert.deepEqual(choicesFrom(stored), defaults);
});

test('what was stored is chosen', () => {
  const stored = { arrangement: 'grid', selfView: false, mirrored: false };
  assert.deepEqual(choicesFrom({ ...stored, more: 1 }), stored);
});

test('where nothing can be stored, a choice holds for this page', () => {
  choose({ arrangement: 'grid' });
  assert.deepEqual(chosen(), { arrangement: 'grid', selfView: true, mirrored: true });
  choose({ mirrored: false });
  assert.equal(chosen().arrangement, 'grid');
  choose({ arrangement: 'speaker', mirrored: true });
});

test('each person has a loudness of their own', () => {
  setLoudness('ada', { volume: 0.3 });
  setLoudness('ada', { muted: true });
  assert.deepEqual(loudnessOf('ada'), { volume: 0.3, muted: true });
  assert.deepEqual(loudnessOf('bob'), { volume: 1, muted: false });
});

test('the oldest of too many people is forgotten', () => {
  for (let number = 0; number < 600; number += 1) setLoudness(`p${number}`, { volume: 0.5 });
  assert.equal(loudnessOf('p0').volume, 1);
  assert.equal(loudnessOf('p599').volume, 0.5);
});

test('what is no loudness is not read', () => {
  const stored = [['a', { volume: 2 }], ['b', null], 'c', ['d', { volume: 0.5 }], [7, { volume: 1 }], ['e']];
  assert.deepEqual([...loudnessFrom(stored)], [['d', { volume: 0.5, muted: false }]]);
  for (const nothing of [undefined, null, {}, 'x']) assert.equal(loudnessFrom(nothing).size, 0);
});
