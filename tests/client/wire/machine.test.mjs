// A machine: given a table, when it is fired, then the first row that fits is taken, or none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine } from '../../../client/wire/machine.js';

const row = (trigger, source, dest, guards = [], effects = []) => ({
  triggers: [trigger],
  sources: [source],
  dest,
  guards,
  effects,
});
const TABLE = {
  name: 'door',
  meaning: '',
  states: [{ name: 'shut' }, { name: 'open' }, { name: 'locked' }],
  rows: [
    row('push', 'shut', 'locked', ['key', 'hurry'], ['turn']),
    row('push', 'shut', 'open', ['hand'], ['creak', 'swing']),
    row('push', 'open', '=', [], ['creak']),
    row('slam', 'open', 'shut', [], ['push again']),
  ],
};

function door(holds = {}) {
  const done = [];
  const machine = new Machine(TABLE, {
    guards: { key: ({ key }) => key, hurry: () => holds.hurry ?? false, hand: () => holds.hand ?? true },
    effects: {
      turn: () => done.push('turn'),
      creak: () => done.push(`creak ${machine.state}`),
      swing: () => done.push('swing'),
      'push again': () => machine.fire('push', {}),
    },
    fired: () => done.push(`fired ${machine.state}`),
  });
  return { machine, done };
}

test('it begins in the first state; effects find the new one, in order', () => {
  const { machine, done } = door();
  assert.equal(machine.state, 'shut');
  assert.equal(machine.fire('push', {}), true);
  assert.deepEqual([machine.state, done], ['open', ['creak open', 'swing', 'fired open']]);
  machine.fire('push', {});
  assert.deepEqual([machine.state, done.slice(3)], ['open', ['creak open', 'fired open']]);
});

test('all guards of a row must hold, and the first row that fits is taken', () => {
  for (const [hurry, key, state] of [[true, true, 'locked'], [true, false, 'open'], [false, true, 'open']]) {
    const { machine } = door({ hurry });
    machine.fire('push', { key });
    assert.equal(machine.state, state);
  }
});

test('what has no row, or none whose guards hold, changes nothing', () => {
  const { machine, done } = door({ hand: false });
  assert.deepEqual([machine.can('slam'), machine.can('push')], [false, true]);
  assert.deepEqual([machine.fire('slam', {}), machine.fire('push', {}), machine.state, done], [false, false, 'shut', []]);
});

test('an effect may fire again', () => {
  const { machine } = door();
  machine.fire('push', {});
  machine.fire('slam', {});
  assert.equal(machine.state, 'open');
});
