// Small helpers for the views: templates, typed look-up, icons, and lists that are updated in place.

import { BASE } from '../wire/base.js';

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
  root.querySelector('use')?.setAttribute('href', `${BASE}/client/icons.svg#${name}`);
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
 * Update a list's children to those for `items`. Items that stay keep their elements, with focus and video.
 * @template Item
 * @param {Element} list
 * @param {Item[]} items
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => HTMLElement} make
 * @param {(element: HTMLElement, item: Item) => void} update
 */
export function updateList(list, items, keyOf, make, update) {
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
}
