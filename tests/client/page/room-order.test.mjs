// The order of the rooms, and the search among them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { has, inOrder, search } from '../../../client/page/room-order.js';

const room = (name, streams = 0) => ({ name, participants: 1, streams, state: 'waiting' });
const names = (choices) => choices.map(({ name }) => name);

test('rooms that are live come first, and numbers in names count as numbers', () => {
  const rooms = [room('room-10'), room('room-7'), room('Zoo', 1), room('ätna'), room('Attic')];
  assert.deepEqual(names(inOrder(rooms)), ['Zoo', 'ätna', 'Attic', 'room-7', 'room-10']);
});

test('the rooms in which one was come before all, the latest first, also if they are not open', () => {
  const rooms = [room('a'), room('b', 2), room('Old')];
  const choices = inOrder(rooms, { visited: ['gone', 'old', 'a'], here: 'A' });
  assert.deepEqual(names(choices), ['gone', 'Old', 'b']);
  assert.deepEqual(choices.map(({ open }) => open), [false, true, true]);
  assert.deepEqual(choices.map(({ visited }) => visited), [true, true, false]);
});

test('the order does not depend on the order in which the server tells the rooms', () => {
  const rooms = ['b', 'B', 'a'].map((name) => room(name));
  assert.deepEqual(names(inOrder(rooms)), names(inOrder([...rooms].reverse())));
});

test('a room is found by parts of its name, and known by its whole name', () => {
  const choices = inOrder([room('Weekly-standup'), room('שלום')]);
  assert.deepEqual(names(search(choices, 'stand week')), ['Weekly-standup']);
  assert.deepEqual(names(search(choices, '')), ['Weekly-standup', 'שלום']);
  assert.ok(has(choices, ' weekly-STANDUP '));
  assert.ok(!has(choices, 'weekly'));
});
