// What is read aloud of what happens in a room.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NAMED, SILENT_FOR, spacing, Tidings } from '../../../client/page/tidings.js';

const here = (name, more = {}) => ({ name, hand: false, live: false, speaks: false, ...more });
const scene = (...people) => new Map(people.map((person) => [person.name, person]));

/** @param {ReturnType<typeof scene>} first */
function begun(first) {
  const tidings = new Tidings();
  tidings.begin(first);
  return tidings;
}

test('who comes, goes, is live and raises a hand is told once, and nobody who was there already', () => {
  const tidings = begun(scene(here('Ada', { live: true })));
  assert.deepEqual(tidings.next(scene(here('Ada', { live: true })), 0), []);
  const next = scene(here('Ada', { live: true, hand: true }), here('Bob', { live: true }));
  assert.deepEqual(
    tidings.next(next, 1).map(({ event, names }) => [event, names]),
    [['came', ['Bob']], ['live', ['Bob']], ['hand', ['Ada']]],
  );
  assert.deepEqual(tidings.next(next, 2), []);
  assert.deepEqual(tidings.next(scene(), 3).map(({ event, names }) => [event, names]), [['left', ['Ada', 'Bob']]]);
});

test('a crowd is one line, with a few names', () => {
  const tidings = begun(scene());
  const crowd = scene(...Array.from({ length: 300 }, (_, at) => here(`Guest ${at}`)));
  const told = tidings.next(crowd, 0);
  assert.equal(told.length, 1);
  assert.equal(told[0].names.length, NAMED);
  assert.equal(told[0].others, 300 - NAMED);
  assert.ok(spacing(300) > spacing(3));
});

test('who comes and goes between two tellings is not told', () => {
  const tidings = begun(scene(here('Ada')));
  assert.deepEqual(tidings.next(scene(here('Ada')), 1), []);
});

test('somebody speaks up after a silence, and not with every word', () => {
  const tidings = begun(scene(here('Ada')));
  const [speaks, silent] = [scene(here('Ada', { speaks: true })), scene(here('Ada'))];
  assert.deepEqual(tidings.next(speaks, 0).map(({ event }) => event), ['speaks']);
  assert.deepEqual(tidings.next(silent, 1_000), []);
  assert.deepEqual(tidings.next(speaks, 2_000), []);
  assert.deepEqual(tidings.next(silent, 50_000), []);
  assert.deepEqual(tidings.next(speaks, 50_000 + SILENT_FOR + 1).map(({ event }) => event), ['speaks']);
});
