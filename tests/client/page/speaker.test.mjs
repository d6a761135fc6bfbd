// Whose picture is large, by the news of who speaks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changesAt, follow, HELD_FOR, SILENCE, SILENT_FOR, SPEAKS_FOR } from '../../../client/page/speaker.js';

const ALL = new Set(['ada', 'bob', 'eve']);

/** Plays news: [milliseconds, those who speak, those who are there]. Returns who was large after each. */
function play(...news) {
  let floor = SILENCE;
  return news.map(([now, speaking, present = ALL]) => {
    floor = follow(floor, { speaking: new Set(speaking), present, now });
    return floor.current;
  });
}

test('the first who speaks is large at once, and stays so in silence', () => {
  assert.deepEqual(play([0, []], [10, ['ada']], [900, []], [60_000, []]), [null, 'ada', 'ada', 'ada']);
});

test('a short word of another moves nothing', () => {
  assert.deepEqual(
    play([0, ['ada']], [10_000, []], [20_000, ['bob']], [20_000 + SPEAKS_FOR - 1, []], [40_000, []]),
    ['ada', 'ada', 'ada', 'ada', 'ada'],
  );
});

test('another who speaks on becomes large when the large one is silent', () => {
  assert.deepEqual(
    play([0, ['ada']], [10_000, []], [20_000, ['bob']], [20_000 + SPEAKS_FOR, ['bob']]),
    ['ada', 'ada', 'ada', 'bob'],
  );
});

test('who interrupts waits until the large one has been silent for a while', () => {
  assert.deepEqual(
    play(
      [0, ['ada']],
      [10_000, ['ada', 'bob']],
      [30_000, ['ada', 'bob']],
      [31_000, ['bob']],
      [31_000 + SILENT_FOR - 1, ['bob']],
      [31_000 + SILENT_FOR, ['bob']],
    ),
    ['ada', 'ada', 'ada', 'ada', 'ada', 'bob'],
  );
});

test('a pause between words of the large one is no end of the speech', () => {
  assert.deepEqual(
    play([0, ['ada', 'bob']], [10_000, ['bob']], [10_900, ['ada', 'bob']], [11_700, ['ada', 'bob']]),
    ['ada', 'ada', 'ada', 'ada'],
  );
});

test('in a quick exchange the large picture changes at most as often as it is held', () => {
  let floor = SILENCE;
  const changes = [];
  for (let now = 0; now < 60_000; now += 100) {
    const speaker = Math.floor(now / 2_000) % 2 ? 'ada' : 'bob';
    const before = floor.current;
    floor = follow(floor, { speaking: new Set([speaker]), present: ALL, now });
    if (floor.current !== before) changes.push(now);
  }
  for (let at = 1; at < changes.length; at += 1) assert.ok(changes[at] - changes[at - 1] >= HELD_FOR, changes.join(' '));
});

test('of several others, the one who has spoken for the longest time becomes large', () => {
  assert.deepEqual(
    play([0, ['ada']], [10_000, ['eve']], [10_500, ['eve', 'bob']], [20_000, ['bob', 'eve']]),
    ['ada', 'ada', 'ada', 'eve'],
  );
});

test('when the large one leaves, another who speaks is large at once', () => {
  const left = new Set(['bob', 'eve']);
  assert.deepEqual(play([0, ['ada']], [100, ['ada', 'bob']], [200, ['bob'], left], [300, [], new Set()]), ['ada', 'ada', 'bob', null]);
});

test('who has no picture, such as the user, is never large', () => {
  assert.deepEqual(play([0, ['me']], [9_000, ['me']]), [null, null]);
});

test('it tells when it would change by itself, so that no clock has to tick', () => {
  let floor = follow(SILENCE, { speaking: new Set(['ada']), present: ALL, now: 0 });
  assert.equal(changesAt(floor), null);
  floor = follow(floor, { speaking: new Set(['ada', 'bob']), present: ALL, now: 5_000 });
  assert.equal(changesAt(floor), null);
  floor = follow(floor, { speaking: new Set(['bob']), present: ALL, now: 8_000 });
  assert.equal(changesAt(floor), 8_000 + SILENT_FOR);
  floor = follow(floor, { speaking: new Set(['bob']), present: ALL, now: 8_000 + SILENT_FOR });
  assert.equal(floor.current, 'bob');
});
