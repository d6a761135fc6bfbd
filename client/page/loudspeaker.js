// Through which loudspeaker the others are heard (W3C Audio Output Devices API), where the browser lets a page choose.

let chosen = '';

export function canChooseSpeaker() {
  return typeof HTMLMediaElement !== 'undefined' && 'setSinkId' in HTMLMediaElement.prototype;
}

/**
 * @param {string} id of the loudspeaker; empty: the browser's choice
 */
export function useSpeaker(id) {
  if (id === chosen) return;
  chosen = id;
  for (const media of document.querySelectorAll('video, audio'))
    if (media instanceof HTMLMediaElement) playThere(media);
}

/**
 * Play somebody's sound through the chosen loudspeaker.
 * @param {HTMLMediaElement} media
 */
export function playThere(media) {
  if (!canChooseSpeaker() || media.sinkId === chosen) return;
  // If it was unplugged, the browser goes on with another one.
  media.setSinkId(chosen).catch((error) => console.debug('this loudspeaker cannot be used', error));
}
