// The order of the people in the list, the search among them, and what the list says of their devices.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { devicesOf, inOrder, matches, needsSearch, placesOf } from '../../../client/page/roster.js';

const person = (id, name = id, more = {}) => ({ id, name, ...more });
const order = (people, known = {}) =>
  inOrder(people, { you: '', sharing: new Set(), ...known }).map(({ id }) => id);

test('raised hands come first in the order in which they were raised, then those who share, and the absent last', () => {
  const people = [
    person('away', 'Aa', { away: true }),
    person('quiet', 'Ab'),
    person('second', 'Ac', { hand: 9 }),
    person('camera', 'Zz'),
    person('first', 'Zy', { hand: 2, away: true }),
  ];
  assert.deepEqual(order(people, { sharing: new Set(['camera', 'second']) }), ['first', 'second', 'camera', 'quiet', 'away']);
});

test('oneself is the first of the group, and the others follow by name as people count and spell', () => {
  const people = ['Guest 10', 'guest 9', 'Éva', 'eve', 'Ada', 'Zoe'].map((name) => person(name));
  assert.deepEqual(order(people, { you: 'Zoe' }), ['Zoe', 'Ada', 'Éva', 'eve', 'guest 9', 'Guest 10']);
});

test('people of the same name keep their order whatever the order in which they are told', () => {
  const people = [person('b', 'Guest'), person('c', 'Guest'), person('a', 'Guest')];
  assert.deepEqual(order(people), ['a', 'b', 'c']);
  assert.deepEqual(order(people.reverse()), ['a', 'b', 'c']);
});

test('the places of the hands count from one, whatever the numbers of the server', () => {
  const places = placesOf([person('a', 'a', { hand: 40 }), person('b'), person('c', 'c', { hand: 7 })]);
  assert.deepEqual([...places], [['c', 1], ['a', 2]]);
});

test('somebody is found by any part of the name, without case and accents', () => {
  assert.ok(matches('Zoë Müller', 'mull'));
  assert.ok(matches('Zoë Müller', 'müller zoe'));
  assert.ok(matches('İstanbul', 'istanbul'));
  assert.ok(matches('שלום', 'לום'));
  assert.ok(matches('(.*)+', '(.*)+'));
  assert.ok(matches('Ada', '  '));
  assert.ok(!matches('Ada', 'adam'));
});

test('a few people need no search', () => {
  assert.deepEqual([needsSearch(10), needsSearch(11)], [false, true]);
});

test('the marks say what somebody sends: a microphone alone is no camera', () => {
  const marks = (told, sources) => devicesOf(person('a', 'a', told), sources).join(' ');
  assert.equal(marks({ microphone: true, camera: true }, ['camera']), 'mic camera');
  assert.equal(marks({ microphone: true, camera: false }, ['camera']), 'mic camera-off');
  assert.equal(marks({ microphone: false, camera: true }, ['camera']), 'mic-off camera');
  assert.equal(marks({}, ['camera', 'screen']), 'camera screen');
  assert.equal(marks({ microphone: false, camera: false }, []), '');
  assert.equal(marks({ microphone: false, camera: false }, ['screen']), 'screen');
  assert.equal(marks({ sound: 'held' }, []), 'mic-off');
  assert.equal(marks({ sound: 'muted', microphone: true, camera: true }, ['camera']), 'mic-off camera');
});
