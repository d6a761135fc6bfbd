// The order of the people in the list, and the search among them. There is no document here.

import { compareNames } from './say.js';

/** @import {ParticipantInfo} from '../wire/messages.d.ts' */

/** So many people can be looked through without a search field. */
const FEW = 10;

/**
 * Those who wait for the word come first, in the order in which they raised their hands; then those who share
 * something, the others, and last those whose connection is lost. In each group the user comes first, and the others
 * follow by name.
 * @param {Iterable<ParticipantInfo>} people
 * @param {{ you: string, sharing: ReadonlySet<string> }} known `sharing`: the ids of those who have a stream
 * @returns {ParticipantInfo[]}
 */
export function inOrder(people, { you, sharing }) {
  /** @param {ParticipantInfo} person */
  const group = ({ id, hand, away = false }) => {
    if (hand !== undefined) return 0;
    if (sharing.has(id)) return 1;
    return away ? 3 : 2;
  };
  return [...people]
    .map((person) => ({ person, group: group(person) }))
    .sort(
      (a, b) =>
        a.group - b.group ||
        (a.person.hand ?? 0) - (b.person.hand ?? 0) ||
        Number(b.person.id === you) - Number(a.person.id === you) ||
        compareNames(a.person.name, b.person.name) ||
        (a.person.id < b.person.id ? -1 : 1),
    )
    .map(({ person }) => person);
}

/**
 * The places of the raised hands in their queue, counted from 1, by the ids of the people.
 * @param {Iterable<ParticipantInfo>} people
 * @returns {Map<string, number>}
 */
export function placesOf(people) {
  const waiting = [...people].filter(({ hand }) => hand !== undefined).sort((a, b) => (a.hand ?? 0) - (b.hand ?? 0));
  return new Map(waiting.map(({ id }, at) => [id, at + 1]));
}

/** @param {number} count how many there are to choose from */
export function needsSearch(count) {
  return count > FEW;
}

/**
 * Whether each word that was typed occurs in a name, whatever the case, the accents, and the order of the words.
 * @param {string} name
 * @param {string} typed
 */
export function matches(name, typed) {
  const searched = folded(name);
  return folded(typed)
    .split(/\s+/u)
    .every((word) => searched.includes(word));
}

/** @param {string} text */
function folded(text) {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

/**
 * What the list says of somebody's microphone and camera.
 * @typedef {'mic' | 'mic-off' | 'camera' | 'camera-off' | 'screen'} Device
 */

/**
 * Somebody who shares nothing has no marks of devices, unless a moderator has muted the person.
 * @param {ParticipantInfo} person
 * @param {readonly import('../wire/messages.d.ts').Source[]} sources the person's streams
 * @returns {Device[]}
 */
export function devicesOf({ microphone, camera, sound = 'audible' }, sources) {
  const live = sources.includes('camera');
  const silent = sound !== 'audible' || (live && microphone === false);
  /** @type {Device[]} */
  const found = [];
  if (silent) found.push('mic-off');
  else if (live && microphone) found.push('mic');
  // A client that has told nothing of its camera sends a picture, as far as anybody knows.
  if (live) found.push(camera === false ? 'camera-off' : 'camera');
  if (sources.includes('screen')) found.push('screen');
  return found;
}
