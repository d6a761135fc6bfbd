// Prepares the npm package in the folder `client` for `npm pack`: its types, which the compiler makes of the comments
// in the sources, its licence, and its README, which is docs/embed.md. `--clean` removes them again.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const COMPILER = fileURLToPath(new URL('node_modules/typescript-native/bin/tsc', import.meta.url));
const COPIED = { LICENSE: '../LICENSE', 'README.md': '../docs/embed.md' };
const TYPES = 'types';

for (const made of [TYPES, ...Object.keys(COPIED)]) rmSync(made, { recursive: true, force: true });
if (!process.argv.includes('--clean')) {
  if (!existsSync(COMPILER)) {
    console.error('The types are made by the compiler of tests/client: run `npm ci` there first.');
    process.exit(1);
  }
  const options = ['--allowJs', '--declaration', '--emitDeclarationOnly', '--strict', '--skipLibCheck', '--target', 'es2022'];
  const modules = ['--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2023,dom,dom.iterable', '--types', ''];
  const places = ['--rootDir', '.', '--outDir', TYPES, 'roomfsm.js', 'embed.js'];
  execFileSync(process.execPath, [COMPILER, ...options, ...modules, ...places], { stdio: ['ignore', 2, 2] });
  // Declarations that are written by hand or by the server are no output of the compiler.
  for (const name of readdirSync('wire')) if (name.endsWith('.d.ts')) copyFileSync(`wire/${name}`, `${TYPES}/wire/${name}`);
  for (const [to, from] of Object.entries(COPIED)) copyFileSync(from, to);
}
