// Makes names for rooms of one's own that people can read, say and type, such as `brave-otter-41`.

const HOW = `able bold brave bright calm clever cosy eager fair fine free fresh gentle glad good grand happy keen kind
lively lucky merry mild neat noble polite proud quick quiet ready sharp shiny silent smart sunny swift tidy warm wise
young`.split(/\s+/);
const WHO = `badger bear beaver bee bison crane crow deer dolphin dove duck eagle falcon finch fox frog gecko goose
hare hawk hedgehog heron horse ibis jay koala lark lemur lion lynx mole moose newt otter owl panda puffin rabbit raven
robin salmon seal sloth sparrow squirrel stork swan tiger toad trout turtle whale wolf wren`.split(/\s+/);
const NUMBERS = 90;

/**
 * @param {(below: number) => number} [random] a whole number from 0 to below `below`
 * @returns {string} one of about 190,000 names
 */
export function ownRoomName(random = cryptographic) {
  const pick = (/** @type {string[]} */ words) => words[random(words.length)] ?? '';
  return `${pick(HOW)}-${pick(WHO)}-${10 + random(NUMBERS)}`;
}

/** @param {number} below */
function cryptographic(below) {
  const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
  return number % below;
}
