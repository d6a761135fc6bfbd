// What stands for a person without a picture: the initials of the name, on a colour that the name decides.

const graphemes = typeof Intl.Segmenter === 'undefined' ? null : new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/**
 * @param {string} name
 * @returns {{ initials: string, hue: number }} one or two characters as people see them; degrees on the colour wheel
 */
export function avatarOf(name) {
  const words = name.normalize('NFC').split(/[\s._-]+/u).filter((word) => /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(word));
  const chosen = words.length > 1 ? [words[0], words.at(-1)] : words;
  const initials = chosen.map((word) => first(word ?? '')).join('');
  return { initials: initials || '?', hue: hueOf(name) };
}

/** @param {string} word */
function first(word) {
  const characters = graphemes ? [...graphemes.segment(word)].map(({ segment }) => segment) : [...word];
  const sign = characters.find((one) => /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(one)) ?? '';
  return sign.toUpperCase();
}

/**
 * The same name has the same colour on every page (FNV-1a; any hash that spreads similar names would do).
 * @param {string} name
 */
function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const character of name.normalize('NFC')) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return (hash >>> 0) % 360;
}
