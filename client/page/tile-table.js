// Tables of the state in which a tile shows a stream. The first row whose facts all fit is used.

/**
 * @typedef {'waiting' | 'live' | 'off' | 'stalled' | 'limited' | 'retrying' | 'failed' | 'hidden'} TileState
 */

/**
 * `link`: one's own way to the media server (media-table.js). `stream`, `view`: what the server says of the stream and
 * of one's view of it. `flow`: whether media that came go on coming. `media`: whether all that are to come have come.
 * `brings`: whether its presenter has camera or microphone on; `soon`: one was turned on just now, after both were off.
 * @typedef {{
 *   link: import('../media/link.js').LinkState,
 *   stream?: import('../wire/messages.d.ts').StreamState,
 *   view?: import('../wire/messages.d.ts').ViewState,
 *   flow?: 'going' | 'stopped',
 *   media?: 'complete' | 'missing',
 *   brings?: 'something' | 'nothing' | 'soon',
 * }} TileFacts
 */

/** @typedef {{ tile: TileState, when: { [F in keyof TileFacts]: readonly NonNullable<TileFacts[F]>[] } }} TileRow */

/** Somebody else's stream. @type {readonly TileRow[]} */
export const VIEWED = [
  { tile: 'hidden', when: { link: ['idle'] } },
  { tile: 'failed', when: { link: ['given-up'] } },
  { tile: 'retrying', when: { link: ['waiting', 'offline'] } },
  // Nothing comes then, which is no failure, whatever the server says of the media.
  { tile: 'off', when: { link: ['negotiating', 'connecting', 'restarting', 'connected'], brings: ['nothing'] } },
  { tile: 'waiting', when: { link: ['negotiating', 'connecting', 'restarting', 'connected'], brings: ['soon'], stream: ['stalled'] } },
  { tile: 'waiting', when: { link: ['negotiating', 'connecting', 'restarting', 'connected'], brings: ['soon'], view: ['stalled'] } },
  { tile: 'stalled', when: { link: ['negotiating', 'connecting', 'restarting', 'connected'], stream: ['stalled'] } },
  // The picture has also stopped, but the server has given the reason.
  { tile: 'limited', when: { link: ['negotiating', 'connecting', 'restarting', 'connected'], view: ['limited'] } },
  { tile: 'stalled', when: { link: ['negotiating', 'connecting', 'restarting', 'connected'], view: ['stalled'] } },
  { tile: 'stalled', when: { link: ['negotiating', 'connecting', 'restarting', 'connected'], flow: ['stopped'] } },
  { tile: 'live', when: { link: ['connected'], media: ['complete'] } },
  { tile: 'waiting', when: { link: ['negotiating', 'connecting', 'restarting', 'connected'] } },
];

/** One's own stream. @type {readonly TileRow[]} */
export const PRESENTED = [
  { tile: 'retrying', when: { link: ['waiting', 'offline'] } },
  { tile: 'off', when: { link: ['idle', 'negotiating', 'connecting', 'restarting', 'connected', 'given-up'], brings: ['nothing'] } },
  // The server does not notice for a while that the way to the media server is gone.
  { tile: 'live', when: { link: ['connected'], stream: ['live'] } },
  { tile: 'stalled', when: { link: ['idle', 'negotiating', 'connecting', 'restarting', 'connected', 'given-up'], stream: ['stalled'] } },
  { tile: 'waiting', when: { link: ['idle', 'negotiating', 'connecting', 'restarting', 'connected', 'given-up'] } },
];

/**
 * What a tile shows in a state. `words` stand in the place of the picture; without any, what comes can be seen or
 * heard. `heardOnly`: the sound goes on without the picture. `ownLabel`: what the state of one's own stream is called.
 */
export const TILES = Object.freeze(
  /** @satisfies {Record<TileState, { words: string | null, heardOnly: boolean, ownLabel: string }>} */ (
    /** @type {const} */ ({
      waiting: { words: 'tile.words.waiting', heardOnly: false, ownLabel: 'tile.connecting' },
      live: { words: null, heardOnly: false, ownLabel: 'tile.live' },
      off: { words: null, heardOnly: false, ownLabel: 'tile.off' },
      stalled: { words: 'tile.words.stalled', heardOnly: false, ownLabel: 'tile.stalled' },
      limited: { words: 'tile.words.limited', heardOnly: true, ownLabel: 'tile.limited' },
      retrying: { words: 'tile.words.retrying', heardOnly: false, ownLabel: 'tile.retrying' },
      failed: { words: 'tile.words.failed', heardOnly: false, ownLabel: 'tile.failed' },
      hidden: { words: 'tile.words.hidden', heardOnly: false, ownLabel: 'tile.hidden' },
    })
  ),
);

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
