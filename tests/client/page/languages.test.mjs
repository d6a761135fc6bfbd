// The languages of the page: which one is spoken, and that each translation says everything.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { beginIn, currentLanguage, languageOf, useLanguage, LANGUAGES, localeOf } from '../../../client/page/languages.js';
import { compareNames, fill, listed, say, sayDate, speak } from '../../../client/page/say.js';
import { EN } from '../../../client/page/words-en.js';

afterEach(() => speak('en', EN, 'ltr'));

const parametersOf = (text) => new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
const formsOf = (message) => (typeof message === 'string' ? [message] : Object.values(message));
const wholeOf = (message) => (typeof message === 'string' ? message : message.other);

/** The parameters of a message. One with plural forms has `count`, which a form need not say. */
function valuesOf(message) {
  const values = new Set(formsOf(message).flatMap((form) => [...parametersOf(form)]));
  if (typeof message !== 'string') values.add('count');
  return values;
}

test('every file of words is a language', () => {
  const files = readdirSync(new URL('../../../client/page/', import.meta.url)).flatMap((file) => /^words-(\w+)\.js$/.exec(file)?.[1] ?? []);
  assert.deepEqual(files.sort(), Object.keys(LANGUAGES).sort());
});

for (const [code, { load }] of Object.entries(LANGUAGES)) {
  test(`${code} says everything: the same keys and parameters, and each plural form of the language`, async () => {
    const messages = await load();
    assert.deepEqual(Object.keys(EN).filter((key) => !Object.hasOwn(messages, key)), [], 'these keys are missing');
    assert.deepEqual(Object.keys(messages).filter((key) => !Object.hasOwn(EN, key)), [], 'nothing asks for these keys');
    const { pluralCategories } = new Intl.PluralRules(code).resolvedOptions();
    for (const [key, message] of Object.entries(messages)) {
      const known = valuesOf(EN[key]);
      for (const form of formsOf(message)) {
        assert.ok(form.trim() !== '', key);
        for (const name of parametersOf(form)) assert.ok(known.has(name), `${key} gets no value {${name}}`);
      }
      // A number may be left out where its form says it; nothing else may.
      for (const name of parametersOf(wholeOf(EN[key])))
        assert.ok(parametersOf(wholeOf(message)).has(name), `${key} does not say {${name}}`);
      if (typeof EN[key] !== 'string') assert.notEqual(typeof message, 'string', `${key} needs plural forms`);
      if (typeof message !== 'string') {
        assert.ok(known.has('count'), `${key} has no number that decides its form`);
        assert.deepEqual(Object.keys(message).sort(), [...pluralCategories].sort(), key);
      }
    }
  });

  test(`${code} is no copy of the English`, { skip: code === 'en' }, async () => {
    const messages = await load();
    const same = Object.keys(EN).filter((key) => JSON.stringify(messages[key]) === JSON.stringify(EN[key]) && /\p{L}{4}/u.test(wholeOf(EN[key]).replace(/\{\w+\}/g, '')));
    assert.ok(same.length < 25, `${same.length} texts are English: ${same.join(', ')}`);
  });
}

test('the language is the one that was chosen, else the first of the browser’s that there is, else English', () => {
  assert.equal(languageOf('uk', ['de']), 'uk');
  assert.equal(languageOf(null, ['pt-BR', 'es-MX', 'en']), 'es');
  assert.equal(languageOf(null, ['ja', 'zh-Hant-TW']), 'en');
  assert.equal(languageOf('klingon', ['ar-EG']), 'ar');
  assert.equal(languageOf('toString', ['constructor']), 'en');
  assert.equal(languageOf(null, []), 'en');
  assert.equal(localeOf('de', ['en', 'de-AT', 'de']), 'de-AT');
  assert.equal(localeOf('fr', ['en']), 'fr');
});

/** As much of a browser as a language needs. */
function inBrowser(t) {
  const given = { document: { documentElement: {} }, navigator: { languages: ['de'] } };
  for (const [name, value] of Object.entries(given)) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true });
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
  }
}

test('a page whose language hangs begins in English, and changes when the language comes, unless another was chosen', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  inBrowser(t);
  let comes;
  t.mock.method(LANGUAGES.de, 'load', () => new Promise((resolve) => (comes = resolve)));
  for (const [chosen, spoken, changes] of [[null, 'de', 1], ['uk', 'uk', 0]]) {
    await useLanguage('en');
    const cameLate = t.mock.fn();
    const begun = beginIn('de', cameLate);
    t.mock.timers.tick(3_000);
    await begun;
    assert.equal(currentLanguage(), 'en');
    if (chosen) await useLanguage(chosen);
    comes({ cancel: 'Abbrechen' });
    await new Promise(setImmediate);
    assert.deepEqual([currentLanguage(), cameLate.mock.callCount()], [spoken, changes]);
  }
});

test('a page whose language comes in time, or not at all, begins once', async (t) => {
  inBrowser(t);
  t.mock.method(console, 'debug', () => {});
  const cameLate = t.mock.fn();
  await beginIn('de', cameLate);
  assert.equal(currentLanguage(), 'de');
  t.mock.method(LANGUAGES.fr, 'load', () => Promise.reject(new TypeError('offline')));
  await beginIn('fr', cameLate);
  assert.equal(currentLanguage(), 'de');
  assert.equal(cameLate.mock.callCount(), 0);
});

test('what a language lacks is said in English', () => {
  speak('de', { cancel: 'Abbrechen' }, 'ltr');
  assert.equal(say('cancel'), 'Abbrechen');
  assert.equal(say('chat.send'), EN['chat.send']);
});

test('numbers, plural forms, lists and dates are those of the language', async () => {
  const { load, direction } = LANGUAGES.uk;
  speak('uk', await load(), direction);
  assert.deepEqual([1, 3, 5, 21].map((count) => say('people.count', { count })), ['1 учасник', '3 учасники', '5 учасників', '21 учасник']);
  assert.equal(listed(['А', 'Б']), 'А і Б');
  speak('de', await LANGUAGES.de.load(), 'ltr');
  assert.match(say('people.count', { count: 5000 }), /5\.000/);
  assert.match(sayDate(new Date(2026, 10, 27), { dateStyle: 'full' }), /November/);
});

test('names are in the order of the language, which need not be that of the browser', () => {
  speak('de', {}, 'ltr');
  assert.deepEqual(['Zoe', 'Äse', 'room-10', 'room-7', 'Ada'].sort(compareNames), ['Ada', 'Äse', 'room-7', 'room-10', 'Zoe']);
  speak('sv', {}, 'ltr');
  assert.deepEqual(['Äse', 'Zoe', 'Ada'].sort(compareNames), ['Ada', 'Zoe', 'Äse']);
});

test('no part of the page asks for a date, a number or an order in the language of the browser', () => {
  const folder = new URL('../../../client/', import.meta.url);
  const files = readdirSync(folder, { recursive: true }).filter((file) => /\.js$/.test(file) && !/^inspect\b/.test(file));
  const foreign = /toLocale\w+\(\)|Intl\.(?!Segmenter)\w+\((undefined|\))/;
  assert.deepEqual(files.filter((file) => foreign.test(readFileSync(new URL(file, folder), 'utf8'))), []);
});

test('in a language from right to left, a name from left to right is isolated, and the other way round', () => {
  assert.equal(fill('{name}', { name: 'Ada' }), 'Ada');
  speak('ar', {}, 'rtl');
  assert.equal(fill('{name}', { name: 'Ada (2)' }), '\u2068Ada (2)\u2069');
  assert.equal(fill('{name}', { name: '7' }), '7');
});
