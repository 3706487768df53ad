// What the parts of the page share: finding elements, copying templates, lines that are told.

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new (...words: any[]) => T} kind
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

/**
 * @template {Element} T
 * @param {Element} within
 * @param {string} selector
 * @param {new (...words: any[]) => T} kind
 * @returns {T}
 */
export function part(within, selector, kind) {
  const found = within.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`the page has no ${selector}`);
  return found;
}

/**
 * @param {string} template its id
 * @returns {HTMLElement} a copy
 */
export function copied(template) {
  const found = byId(template, HTMLTemplateElement).content.firstElementChild?.cloneNode(true);
  return /** @type {HTMLElement} */ (found);
}

/**
 * Shows a picture, and lets go of it when it is drawn.
 * @param {HTMLImageElement} image
 * @param {Blob} picture
 */
export function show(image, picture) {
  image.src = URL.createObjectURL(picture);
  image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
}

/**
 * The message of whatever was thrown.
 * @param {unknown} error
 */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

/** @param {number} count @param {string} what */
export const counted = (count, what) => `${count} ${what}${count === 1 ? '' : 's'}`;
