// Small helpers for the views: templates, typed look-up, icons, and lists that are updated in place.

import { FILES } from '../wire/base.js';
import { say } from './say.js';

/** @import {Key, Plain} from './say.js' */

/** Where a template names a text of the catalogue: the attribute that names it, and what gets the text. */
const SAID = /** @type {const} */ ([
  ['data-say', (/** @type {Element} */ element, /** @type {string} */ text) => setText(element, text)],
  ['data-say-label', (/** @type {Element} */ element, /** @type {string} */ text) => element.setAttribute('aria-label', text)],
  ['data-say-title', (/** @type {Element} */ element, /** @type {string} */ text) => name(element, text)],
  [
    'data-say-placeholder',
    (/** @type {Element} */ element, /** @type {string} */ text) => element.setAttribute('placeholder', text),
  ],
]);

/**
 * Fill in the texts that the elements of a template name by their keys: `data-say` for the content, `data-say-label`
 * for the name that is read aloud, `data-say-title` for both that and the title, `data-say-placeholder`.
 * @param {ParentNode} root
 */
export function fillIn(root) {
  for (const [attribute, put] of SAID) {
    for (const element of root.querySelectorAll(`[${attribute}]`))
      put(element, say(/** @type {Plain} */ (/** @type {Key} */ (element.getAttribute(attribute)))));
  }
}

/**
 * Give an element that shows only an icon its name, for the eye and the ear.
 * @param {Element} element
 * @param {string} text
 */
export function name(element, text) {
  element.setAttribute('title', text);
  element.setAttribute('aria-label', text);
}

/**
 * A copy of the only element of a template.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function fromTemplate(id) {
  const template = document.getElementById(id);
  if (!(template instanceof HTMLTemplateElement)) throw new Error(`no template '${id}'`);
  const root = template.content.firstElementChild?.cloneNode(true);
  if (!(root instanceof HTMLElement)) throw new Error(`template '${id}' has no element`);
  fillIn(root);
  return root;
}

/**
 * The element within `root` that matches the selector and has this class.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
export function find(root, selector, type) {
  const found = root.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`no ${type.name} matches '${selector}'`);
  return found;
}

/**
 * @param {ParentNode} root
 * @param {string} name its `data-part`
 */
export function part(root, name) {
  return find(root, `[data-part="${name}"]`, HTMLElement);
}

/**
 * @param {ParentNode} root
 * @param {string} name its `data-testid`
 */
export function button(root, name) {
  return find(root, `[data-testid="${name}"]`, HTMLButtonElement);
}

/**
 * @param {keyof HTMLElementTagNameMap} tag
 * @param {{class?: string, text?: string, testid?: string}} [options]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  if (options.class) made.className = options.class;
  if (options.testid) made.dataset['testid'] = options.testid;
  made.append(...(options.text === undefined ? children : [options.text]));
  return made;
}

/**
 * A name or another text that a person has chosen. It has a direction of its own, so that a text from right to left
 * does not move what stands beside it. Every such text on the page is in one of these, or in an element with
 * `dir="auto"`; in sentences `say` takes care of it.
 * @param {string} text
 * @param {{class?: string, testid?: string}} [options]
 */
export function bdi(text, options = {}) {
  return element('bdi', { ...options, text });
}

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @param {string} name a symbol of icons.svg
 * @param {string} [label] read out; without one the icon is decoration
 */
export function icon(name, label) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.classList.add('icon');
  if (label) {
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', label);
  } else {
    svg.setAttribute('aria-hidden', 'true');
  }
  svg.append(document.createElementNS(SVG, 'use'));
  setIcon(svg, name);
  return svg;
}

/**
 * @param {ParentNode} root with an icon inside
 * @param {string} name
 */
export function setIcon(root, name) {
  root.querySelector('use')?.setAttribute('href', `${FILES}icons.svg#${name}`);
}

/**
 * Set the text only if it differs, so that screen readers do not read it again.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Update a list's children to those for `items`. Items that stay keep their elements, with focus and video. What had
 * the focus in an item that is moved has it again; if the item is gone, the item in its place gets the focus.
 * @template Item
 * @param {Element} list
 * @param {Item[]} items
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => HTMLElement} make
 * @param {(element: HTMLElement, item: Item) => void} update
 */
export function updateList(list, items, keyOf, make, update) {
  const focused = document.activeElement;
  const place = [...list.children].findIndex((child) => child.contains(focused));
  /** @type {Map<string | undefined, HTMLElement>} */
  const old = new Map();
  for (const child of list.children) if (child instanceof HTMLElement) old.set(child.dataset['key'], child);
  /** @type {ChildNode | null} */
  let next = list.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    let child = old.get(key);
    old.delete(key);
    if (!child) {
      child = make(item);
      child.dataset['key'] = key;
    }
    if (child === next) next = next.nextSibling;
    else list.insertBefore(child, next);
    update(child, item);
  }
  for (const child of old.values()) child.remove();
  if (place < 0 || !(focused instanceof HTMLElement) || focused === document.activeElement) return;
  if (list.contains(focused)) focused.focus({ preventScroll: true });
  else focusable(list.children[place] ?? list.lastElementChild)?.focus({ preventScroll: true });
}

/**
 * @param {Element | null} item
 * @returns {HTMLElement | null} what can have the focus in it
 */
function focusable(item) {
  const found = item?.querySelector('button, a[href]');
  return found instanceof HTMLElement ? found : null;
}
