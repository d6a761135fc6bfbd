// The protocol's document, judged by AsyncAPI's own parser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Parser } from '@asyncapi/parser';

const WARNING = 1;
const path = new URL('../../docs/asyncapi.json', import.meta.url);
const { document, diagnostics } = await new Parser().parse(await readFile(path, 'utf8'));

test('the document is valid AsyncAPI, without errors or warnings', () => {
  assert.deepEqual(diagnostics.filter(({ severity }) => severity <= WARNING), []);
});

test('every message is received or sent by one operation', () => {
  const operations = document.operations().all();
  const received = operations.filter((operation) => operation.isReceive());
  assert.equal(document.messages().all().length, 61);
  assert.deepEqual([received.length, operations.length], [35, 61]);
  const messages = operations.flatMap((operation) => operation.messages().all());
  assert.equal(new Set(messages.map((message) => message.id())).size, 61);
  for (const operation of received) {
    const answers = operation.reply().messages().all();
    assert.ok(answers.some((message) => message.name() === 'error'), operation.id());
  }
});

test('a broken document is found out', async () => {
  const broken = JSON.parse(await readFile(path, 'utf8'));
  broken.operations.receiveJoin.messages = [{ $ref: '#/channels/signalling/messages/Nobody' }];
  const found = await new Parser().validate(broken);
  assert.ok(found.some(({ severity }) => severity < WARNING));
});
