// The catalogue of texts: parameters, plural forms, directions, and that every text that is asked for is there.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fill, formOf, isolated, say } from '../../../client/page/say.js';
import { EN } from '../../../client/page/words-en.js';

test('a number decides the form of a text, and is written as the language writes it', () => {
  assert.equal(say('people.count', { count: 1 }), '1 person');
  assert.equal(say('people.count', { count: 0 }), '0 people');
  assert.equal(say('people.count', { count: 5000 }), '5,000 people');
  assert.equal(formOf({ other: 'x' }, 1), 'x');
});

test('a value from right to left is isolated from the sentence around it, and no other value is changed', () => {
  assert.equal(say('news.waiting', { room: 'blue' }).includes('“blue”'), true);
  assert.equal(isolated('שלום (3)'), '\u2068שלום (3)\u2069');
  assert.equal(isolated('العربية'), '\u2068العربية\u2069');
  assert.equal(isolated('𞤀𞤣𞤤𞤢𞤥'), '\u2068𞤀𞤣𞤤𞤢𞤥\u2069');
  for (const name of ['Ada', 'Зоя', '李', '👩🏽‍🚀', 'é', '']) assert.equal(isolated(name), name);
});

test('no value can turn the direction of the text behind it', () => {
  for (const evil of ['\u202Eevil', 'a\u2067b', '\u2069\u2069x', 'שלום\u2069\u202E']) {
    const shown = isolated(evil);
    const inside = shown.startsWith('\u2068') ? shown.slice(1, -1) : shown;
    assert.doesNotMatch(inside, /[\u202A-\u202E\u2066-\u2069]/);
  }
});

test('what a person writes is never taken for a parameter', () => {
  assert.equal(fill('{a} and {b}', { a: '{b}', b: '$&' }), '{b} and $&');
  assert.equal(fill('{unknown}', {}), '{unknown}');
});

test('every text that the page’s HTML asks for is in the catalogue, and has no parameters', () => {
  const html = readFileSync(new URL('../../../client/index.html', import.meta.url), 'utf8');
  for (const [, key] of html.matchAll(/data-say(?:-\w+)?="([^"]*)"/g)) {
    assert.ok(Object.hasOwn(EN, key), key);
    assert.equal(typeof EN[key], 'string', key);
    assert.doesNotMatch(EN[key], /\{/, key);
  }
});

test('every text with plural forms has the form of last resort, and all its forms know the same values', () => {
  for (const [key, message] of Object.entries(EN)) {
    if (typeof message === 'string') continue;
    assert.ok(message.other, key);
  }
});

test('the page has one word for one thing', () => {
  const texts = Object.values(EN).flatMap((message) => (typeof message === 'string' ? [message] : Object.values(message)));
  for (const text of texts) assert.doesNotMatch(text, /\bon air\b|\bbroadcast|\bpresents?\b|cannot be had/i, text);
});
