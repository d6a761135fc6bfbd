// Tables of what a tile shows of a stream. The first row whose facts all fit is used.

/**
 * @typedef {'waiting' | 'live' | 'stalled' | 'limited' | 'retrying' | 'failed' | 'hidden'} TileState
 */

/**
 * `link`: one's own way to the media server (media-table.js). `stream`, `view`: what the server says of the stream and
 * of one's view of it. `flow`: whether media that came go on coming. `media`: whether all that are to come have come.
 * @typedef {{
 *   link: import('../media/link.js').LinkState,
 *   stream?: import('../wire/messages.d.ts').StreamState,
 *   view?: import('../wire/messages.d.ts').ViewState,
 *   flow?: 'going' | 'stopped',
 *   media?: 'complete' | 'missing',
 * }} TileFacts
 */

/** @typedef {{ tile: TileState, when: { [F in keyof TileFacts]: readonly NonNullable<TileFacts[F]>[] } }} TileRow */

/** Somebody else's stream. @type {readonly TileRow[]} */
export const VIEWED = [
  { tile: 'hidden', when: { link: ['idle'] } },
  { tile: 'failed', when: { link: ['given-up'] } },
  { tile: 'retrying', when: { link: ['waiting', 'offline'] } },
  { tile: 'stalled', when: { link: ['negotiating', 'connecting', 'connected'], stream: ['stalled'] } },
  // The picture has also stopped, but the server has given the reason.
  { tile: 'limited', when: { link: ['negotiating', 'connecting', 'connected'], view: ['limited'] } },
  { tile: 'stalled', when: { link: ['negotiating', 'connecting', 'connected'], view: ['stalled'] } },
  { tile: 'stalled', when: { link: ['negotiating', 'connecting', 'connected'], flow: ['stopped'] } },
  { tile: 'live', when: { link: ['connected'], media: ['complete'] } },
  { tile: 'waiting', when: { link: ['negotiating', 'connecting', 'connected'] } },
];

/** One's own stream. @type {readonly TileRow[]} */
export const PRESENTED = [
  { tile: 'retrying', when: { link: ['waiting', 'offline'] } },
  { tile: 'live', when: { link: ['idle', 'negotiating', 'connecting', 'connected', 'given-up'], stream: ['live'] } },
  { tile: 'stalled', when: { link: ['idle', 'negotiating', 'connecting', 'connected', 'given-up'], stream: ['stalled'] } },
  { tile: 'waiting', when: { link: ['idle', 'negotiating', 'connecting', 'connected', 'given-up'] } },
];

/**
 * `label` beside the name, `ownLabel` where it is one's own stream; `words` in the picture's place, `heard` after them
 * while there is sound, and `noPicture` instead of them where there is no picture.
 * @type {Record<TileState, { label: string, ownLabel?: string, words: string, heard?: string, noPicture?: string }>}
 */
export const TILES = {
  waiting: { label: 'Waiting', ownLabel: 'Connecting', words: 'Waiting for media…' },
  live: { label: 'Live', words: '', noPicture: 'Sound only' },
  stalled: { label: 'Stalled', words: 'No media arrive at the moment.' },
  limited: {
    label: 'Slow connection',
    words: 'Your connection is too slow for the picture.',
    heard: ' You still hear the sound.',
  },
  retrying: { label: 'Trying again', words: 'The media server cannot be reached. Trying again…' },
  failed: { label: 'Failed', words: 'This stream cannot be received.' },
  hidden: { label: 'Hidden', words: 'You have hidden this, so you do not receive it.' },
};

/**
 * @param {readonly TileRow[]} rows
 * @param {TileFacts} facts
 * @returns {TileState}
 */
export function tileState(rows, facts) {
  const fits = (/** @type {TileRow} */ { when }) =>
    Object.entries(when).every(([fact, values]) =>
      /** @type {readonly unknown[]} */ (values).includes(facts[/** @type {keyof TileFacts} */ (fact)]),
    );
  return rows.find(fits)?.tile ?? 'waiting';
}
