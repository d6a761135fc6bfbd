// What stands for a person without a picture.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { avatarOf } from '../../../client/page/avatar.js';

const initials = (name) => avatarOf(name).initials;

test('a name has the initials of its first and last word, or of its only one', () => {
  assert.equal(initials('Ada'), 'A');
  assert.equal(initials('ada lovelace'), 'AL');
  assert.equal(initials('Dr. Alan M. Turing'), 'DT');
  assert.equal(initials('brave-otter-41'), 'B4');
});

test('names of any script and any signs have initials', () => {
  assert.equal(initials('Олена Коваль'), 'ОК');
  assert.equal(initials('李小龙'), '李');
  assert.equal(initials('أحمد'), 'أ');
  assert.equal(initials('e\u0301mile'), 'É');
  assert.equal(initials('👩🏽‍🚀 Zoë'), '👩🏽‍🚀Z');
  assert.equal(initials('(Bob)'), 'B');
  for (const name of ['', '…', '   ', '- -']) assert.equal(initials(name), '?');
});

test('the same name has the same colour, and names that look alike have others', () => {
  assert.equal(avatarOf('Ada').hue, avatarOf('Ada').hue);
  const hues = new Set(['Ada', 'Adb', 'Adc', 'Bda', 'Ada1', 'Ada2'].map((name) => avatarOf(name).hue));
  assert.ok(hues.size >= 5);
  for (const hue of hues) assert.ok(hue >= 0 && hue < 360);
});
