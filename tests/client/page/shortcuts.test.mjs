// The table of the page's keys, on keyboards of several countries.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EN } from '../../../client/page/words-en.js';
import { SHORTCUTS, shortcutOf } from '../../../client/page/shortcuts.js';

/** @param {string} key @param {string} code @param {object} [more] */
const does = (key, code, more = {}) =>
  shortcutOf({ key, code, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more })?.does;

test('no key does two things, and each is explained', () => {
  const keys = SHORTCUTS.map(({ key, control }) => `${control ?? false} ${key}`);
  assert.equal(new Set(keys).size, keys.length);
  for (const { does } of SHORTCUTS) assert.equal(typeof EN[`keys.${does}`], 'string', does);
});

test('a letter counts, wherever a keyboard has it; without Latin letters its place counts', () => {
  assert.equal(does('m', 'KeyM'), 'microphone');
  assert.equal(does('M', 'KeyM'), 'microphone', 'caps lock');
  assert.equal(does('m', 'Semicolon'), 'microphone', 'AZERTY');
  assert.equal(does(',', 'KeyM'), undefined, 'AZERTY');
  assert.equal(does('ь', 'KeyM'), 'microphone', 'Ukrainian');
  assert.equal(does('ة', 'KeyM'), 'microphone', 'Arabic');
  assert.equal(does('л', 'KeyK', { ctrlKey: true }), 'rooms');
  assert.equal(does('é', 'KeyM'), undefined);
  assert.equal(does(' ', 'Space'), 'talk');
});

test('the question mark is where a keyboard has it', () => {
  assert.equal(does('?', 'Slash', { shiftKey: true }), 'help');
  assert.equal(does('?', 'Minus', { shiftKey: true }), 'help', 'German');
  assert.equal(does('؟', 'Slash', { shiftKey: true }), 'help', 'Arabic');
});

test('what belongs to the browser or the system is left alone', () => {
  for (const held of ['ctrlKey', 'metaKey', 'altKey', 'shiftKey']) assert.equal(does('m', 'KeyM', { [held]: true }), undefined, held);
  assert.equal(does('k', 'KeyK'), undefined);
  assert.equal(does('k', 'KeyK', { metaKey: true }), 'rooms', 'Command');
  assert.equal(does('k', 'KeyK', { ctrlKey: true, altKey: true }), undefined, 'AltGr');
  assert.equal(does('Tab', 'Tab'), undefined);
});
