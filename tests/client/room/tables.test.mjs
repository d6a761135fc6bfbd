// The page's tables: every event that the server or the network can bring has a row in each state, or cannot come there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEVICE } from '../../../client/media/device-table.js';
import { MEDIA } from '../../../client/media/media-table.js';
import { PAGE } from '../../../client/room/page-table.js';
import { LINK } from '../../../client/wire/link-table.js';

const NO_SOCKET = 'there is no websocket';
const NO_REQUEST = 'nothing is asked: a reply that was waited for fails with the connection, and is passed over then';
const HAS_A_ROOM = 'the link keeps a session to resume only while one is in a room';
const NOT_ASKED = 'the browser is not asked for it: an answer that comes later is to an older question';
const NO_TRACK = 'nothing is captured';
const TOO_LATE = 'what the server answers at its end is seen when it is back';
const NO_PEER = 'there is no peer connection, and no request: what is left of an earlier one is not listened to';

/** By machine and event: the states in which it cannot come, and why. All other states must have a row. */
const NEVER = {
  page: {
    'server closes': { outside: NO_SOCKET },
    'server restarts': { outside: NO_SOCKET },
    'room closes': {
      outside: NO_SOCKET,
      restarting: 'rooms do not close then, and a session that comes back hears no news before its snapshot',
      interrupted: 'a session that comes back hears no news before its snapshot',
    },
    'connected anew': {
      outside: NO_SOCKET,
      joining: 'the connection is there',
      inside: 'the connection is there',
      knocking: 'the connection is there',
      switching: 'the connection is there',
    },
    resumed: {
      outside: NO_SOCKET,
      joining: 'the connection is there',
      inside: 'the connection is there',
      knocking: 'the connection is there',
      switching: 'the connection is there',
      refused: HAS_A_ROOM,
    },
    entered: {
      outside: NO_REQUEST,
      entering: NO_REQUEST,
      inside: NO_REQUEST,
      restarting: TOO_LATE,
      interrupted: NO_REQUEST,
      refused: NO_REQUEST,
    },
    'turned away': {
      outside: NO_REQUEST,
      entering: NO_REQUEST,
      inside: NO_REQUEST,
      restarting: TOO_LATE,
      interrupted: NO_REQUEST,
      refused: NO_REQUEST,
    },
    lost: { outside: NO_SOCKET },
  },
  link: {
    greeted: {
      closed: NO_SOCKET,
      waiting: NO_SOCKET,
      resuming: 'a server says welcome once',
      open: 'a server says welcome once',
    },
    resumed: { closed: NO_SOCKET, waiting: NO_SOCKET, connecting: NO_REQUEST, open: NO_REQUEST },
    'not resumed': { closed: NO_SOCKET, waiting: NO_SOCKET, connecting: NO_REQUEST, open: NO_REQUEST },
    doubt: {},
    lost: { closed: NO_SOCKET, waiting: NO_SOCKET },
  },
  media: {
    answered: {
      idle: NO_PEER,
      waiting: NO_PEER,
      offline: NO_PEER,
      'given-up': NO_PEER,
      connecting: 'an offer has one answer',
    },
    unanswered: {
      idle: NO_PEER,
      waiting: NO_PEER,
      offline: NO_PEER,
      'given-up': NO_PEER,
      connecting: 'an offer has one answer',
    },
    'path found': { idle: NO_PEER, waiting: NO_PEER, offline: NO_PEER, 'given-up': NO_PEER },
    'path disturbed': { idle: NO_PEER, waiting: NO_PEER, offline: NO_PEER, 'given-up': NO_PEER },
    'path lost': { idle: NO_PEER, waiting: NO_PEER, offline: NO_PEER, 'given-up': NO_PEER },
    'restart refused': {
      idle: NO_PEER,
      waiting: NO_PEER,
      offline: NO_PEER,
      'given-up': NO_PEER,
      negotiating: 'only what was connected is restarted',
    },
    'restart failed': {
      idle: NO_PEER,
      waiting: NO_PEER,
      offline: NO_PEER,
      'given-up': NO_PEER,
      negotiating: 'only what was connected is restarted',
    },
    failed: { idle: NO_PEER, waiting: NO_PEER, offline: NO_PEER, 'given-up': NO_PEER },
    suspend: { idle: 'nothing is wanted', 'given-up': 'there is nothing at the server to come back to' },
    'begin anew': { idle: 'nothing is wanted' },
    back: { idle: 'nothing is wanted', 'given-up': 'only the user begins it anew' },
    over: { idle: 'nothing is wanted' },
  },
  device: {
    granted: { off: NOT_ASKED, on: NOT_ASKED, blocked: NOT_ASKED, absent: NOT_ASKED, lost: NOT_ASKED },
    refused: { off: NOT_ASKED, on: NOT_ASKED, blocked: NOT_ASKED, absent: NOT_ASKED, lost: NOT_ASKED },
    ended: { off: NO_TRACK, asking: NO_TRACK, blocked: NO_TRACK, absent: NO_TRACK, lost: NO_TRACK },
    'turn off': { off: 'it is off', blocked: 'it is not held', absent: 'it is not held' },
    'turn on': { asking: 'it is wanted', on: 'it is wanted', lost: 'it is wanted' },
    found: {
      off: 'it is not wanted',
      asking: 'the browser is asked already',
      on: 'another one is there beside it',
      blocked: 'another device changes nothing about the permission',
    },
    allowed: {
      off: 'it is not wanted',
      asking: 'the browser answers the question itself',
      on: 'it is allowed',
      absent: 'there is none',
    },
  },
};

for (const table of [PAGE, LINK, MEDIA, DEVICE]) {
  test(`in each state of the machine ${table.name}, what can come has a row`, () => {
    for (const [event, never] of Object.entries(NEVER[table.name])) {
      const without = table.states
        .map(({ name }) => name)
        .filter((state) => !table.rows.some((row) => row.triggers.includes(event) && row.sources.includes(state)));
      assert.deepEqual(without.sort(), Object.keys(never).sort(), event);
    }
  });
}
