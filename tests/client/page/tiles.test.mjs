// What a tile shows, by the state of the way, of the stream and of the view.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MEDIA } from '../../../client/media/media-table.js';
import { PRESENTED, tileState, VIEWED } from '../../../client/page/tile-table.js';

const LINKS = MEDIA.states.map(({ name }) => name);
const going = { stream: 'live', view: 'live', flow: 'going', media: 'complete' };
const viewed = (more) => tileState(VIEWED, { link: 'connected', ...going, ...more });

test('a stream that is received whole is live; until then it waits', () => {
  assert.equal(viewed({}), 'live');
  assert.equal(viewed({ media: 'missing' }), 'waiting');
  for (const link of ['negotiating', 'connecting', 'restarting']) assert.equal(viewed({ link }), 'waiting');
});

test('what is hidden, failed or tried again is so whatever the server says', () => {
  for (const more of [{}, { stream: 'stalled' }, { view: 'limited' }, { flow: 'stopped' }]) {
    assert.equal(viewed({ ...more, link: 'idle' }), 'hidden');
    assert.equal(viewed({ ...more, link: 'given-up' }), 'failed');
    for (const link of ['waiting', 'offline']) assert.equal(viewed({ ...more, link }), 'retrying');
  }
});

test('a slow path is named, unless the stream itself has stopped', () => {
  assert.equal(viewed({ view: 'limited', flow: 'stopped' }), 'limited');
  assert.equal(viewed({ view: 'limited', stream: 'stalled' }), 'stalled');
  for (const more of [{ stream: 'stalled' }, { view: 'stalled' }, { flow: 'stopped' }])
    assert.equal(viewed(more), 'stalled');
});

test('who has turned camera and microphone off is not taken for a failure, whatever the media server sees', () => {
  for (const more of [{ stream: 'stalled' }, { view: 'stalled' }, { flow: 'stopped' }, { media: 'missing' }, {}])
    assert.equal(viewed({ ...more, brings: 'nothing' }), 'off');
  assert.equal(viewed({ link: 'waiting', brings: 'nothing' }), 'retrying');
  assert.equal(viewed({ link: 'idle', brings: 'nothing' }), 'hidden');
  assert.equal(tileState(PRESENTED, { link: 'connected', stream: 'stalled', brings: 'nothing' }), 'off');
  assert.equal(tileState(PRESENTED, { link: 'connected', stream: 'stalled', brings: 'something' }), 'stalled');
});

test('what has just been turned on again is waited for, until it is stalled', () => {
  for (const more of [{ stream: 'stalled' }, { view: 'stalled' }]) {
    assert.equal(viewed({ ...more, brings: 'soon' }), 'waiting');
    assert.equal(viewed({ ...more, brings: 'something' }), 'stalled');
  }
  assert.equal(viewed({ brings: 'soon' }), 'live');
});

test('one’s own stream is what the server sees of it, while there is a way', () => {
  assert.equal(tileState(PRESENTED, { link: 'connected', stream: 'live' }), 'live');
  assert.equal(tileState(PRESENTED, { link: 'connected', stream: 'stalled' }), 'stalled');
  for (const link of ['negotiating', 'connecting', 'restarting', 'given-up'])
    assert.equal(tileState(PRESENTED, { link, stream: 'live' }), 'waiting');
  assert.equal(tileState(PRESENTED, { link: 'connected' }), 'waiting');
  assert.equal(tileState(PRESENTED, { link: 'waiting', stream: 'live' }), 'retrying');
});

test('the tables say something for every state of the way', () => {
  for (const link of LINKS)
    for (const rows of [PRESENTED, VIEWED])
      assert.ok(rows.some(({ when }) => when.link?.includes(link) && Object.keys(when).length === 1), link);
});
