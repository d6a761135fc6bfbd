// How much of the page the on-screen keyboard covers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coveredBelow } from '../../../client/page/keyboard.js';

test('a keyboard that lies over the page covers what the visual viewport lacks', () => {
  assert.equal(coveredBelow(844, { height: 844, offsetTop: 0, scale: 1 }), 0);
  assert.equal(coveredBelow(844, { height: 508, offsetTop: 0, scale: 1 }), 336);
  assert.equal(coveredBelow(844, { height: 508, offsetTop: 120, scale: 1 }), 216);
});

test('neither a browser’s bar nor an enlarged page is a keyboard', () => {
  assert.equal(coveredBelow(844, { height: 784, offsetTop: 0, scale: 1 }), 0);
  assert.equal(coveredBelow(844, { height: 422, offsetTop: 100, scale: 2 }), 0);
});
