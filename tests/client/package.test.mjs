// The npm package, as `npm pack` makes it: a stranger's program is compiled against its types, and its modules run.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COMPILER = join(ROOT, 'tests/client/node_modules/typescript-native/bin/tsc');
/** A copy, because the sources are served while tests run. */
const folder = mkdtempSync(join(tmpdir(), 'roomfsm-package-'));
after(() => rmSync(folder, { recursive: true }));

const USE = `
import { connect, RoomfsmError, type Client } from 'roomfsm';
import { embed } from 'roomfsm/embed';

const client: Client = connect('https://rooms.example.org');
client.on('stream', ({ media, person, source }) => {
  const stream: MediaStream = media;
  const who: string = person.name;
  const what: 'camera' | 'screen' = source;
  console.log(stream, who, what);
});
client.on('problem', ({ error, again }) => console.log(error.code, again));
const ends: () => void = client.on('people', (people) => people.map(({ id }) => id));
async function main(): Promise<void> {
  const { room } = await client.enter('blue', { name: 'Ada', token: 't' });
  await client.present({ camera: true });
  await client.moderate({ type: 'kick', participant: 'p1' });
  // @ts-expect-error there is no such message
  await client.moderate({ type: 'fly' });
  // @ts-expect-error a name is text
  await client.enter(7);
  // @ts-expect-error there is no such event
  client.on('nothing', () => {});
  for (const { report, sends } of await client.statistics()) console.log(report.size, sends, room);
}
main().catch((error: unknown) => console.log(error instanceof RoomfsmError ? error.code : error));
export function frame(element: HTMLIFrameElement): void {
  embed(element).on('people', ({ count }) => console.log(count.toFixed()));
}
ends();
`;
const RUN = `
import { connect, RoomfsmError } from 'roomfsm';
const client = connect('https://rooms.example.org/rooms/');
console.log(client.connection.url, client.state, client.people.length);
try {
  connect('nowhere');
} catch (error) {
  console.log(error instanceof RoomfsmError, error.code);
}
`;

test('npm pack makes a package that a program with types can use', () => {
  const source = join(folder, 'source');
  mkdirSync(join(source, 'docs'), { recursive: true });
  cpSync(join(ROOT, 'client'), join(source, 'client'), { recursive: true });
  cpSync(join(ROOT, 'docs/embed.md'), join(source, 'docs/embed.md'));
  cpSync(join(ROOT, 'LICENSE'), join(source, 'LICENSE'));
  symlinkSync(join(ROOT, 'tests'), join(source, 'tests'));
  const before = readdirSync(join(source, 'client'));
  const installed = join(folder, 'node_modules/roomfsm');
  mkdirSync(installed, { recursive: true });
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: join(source, 'client'), encoding: 'utf8' });
  const file = packed.trim().split('\n').at(-1);
  assert.deepEqual(readdirSync(join(source, 'client')), before, 'what was made for the package is removed again');
  execFileSync('tar', ['xzf', join(folder, file), '-C', installed, '--strip-components=1']);
  assert.deepEqual(
    readdirSync(installed).sort(),
    ['LICENSE', 'README.md', 'embed.js', 'media', 'package.json', 'room', 'roomfsm.js', 'types', 'wire'],
  );

  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'use.ts'), USE);
  for (const modules of [['nodenext', 'nodenext'], ['esnext', 'bundler']]) {
    const options = ['--module', modules[0], '--moduleResolution', modules[1], '--target', 'es2022', '--types', ''];
    execFileSync(process.execPath, [COMPILER, '--strict', '--noEmit', '--lib', 'es2023,dom,dom.iterable', ...options, 'use.ts'], {
      cwd: folder,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  }

  writeFileSync(join(folder, 'run.js'), RUN);
  const printed = execFileSync(process.execPath, ['run.js'], { cwd: folder, encoding: 'utf8' });
  assert.equal(printed, 'wss://rooms.example.org/rooms/ws outside 0\ntrue bad_address\n');
});

test('the package has the version of the server', () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'client/package.json'), 'utf8'));
  const [, server] = /__version__ = "(.*)"/.exec(readFileSync(join(ROOT, 'roomfsm/__init__.py'), 'utf8'));
  assert.equal(version, server);
});
