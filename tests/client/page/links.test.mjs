// Links in what is said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitLinks } from '../../../client/page/links.js';

test('web addresses in a text are told apart from it', () => {
  const links = (text) => {
    const pieces = splitLinks(text);
    assert.equal(pieces.map((piece) => piece.text).join(''), text);
    return pieces.filter((piece) => piece.href !== undefined).map((piece) => piece.href);
  };
  assert.deepEqual(links('see https://a.example/x?y=1#z, then http://b.example.'), [
    'https://a.example/x?y=1#z',
    'http://b.example/',
  ]);
  assert.deepEqual(links('(https://a.example/b_(c))'), ['https://a.example/b_(c)']);
  assert.deepEqual(links('<https://a.example/b>“https://c.example/”'), ['https://a.example/b', 'https://c.example/']);
  assert.deepEqual(links('HTTPS://A.example\nhttps://b.example'), ['https://a.example/', 'https://b.example/']);
  for (const text of ['', 'hello', 'https://', 'http://.', 'javascript:alert(1)', 'xhttp://a.example', 'ftp://a.example'])
    assert.deepEqual(links(text), [], text);
});
