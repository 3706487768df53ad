// The camera: one at a time, in whichever part of the page asked for it last.

import { byId, part } from './page.js';

/** @typedef {{video: HTMLVideoElement, close: () => void}} Camera */

/** By the names of DOMException: why there is no picture. */
const REASONS = /** @type {Record<string, string>} */ ({
  NotAllowedError: 'the camera was not allowed: allow it for this page in the browser, or choose photographs',
  NotFoundError: 'this device has no camera: choose photographs instead',
  NotReadableError: 'the camera is used by another program: close that, or choose photographs',
});

/** The one that is open. @type {{place: HTMLElement, close: () => void} | null} */
let open = null;

/**
 * Closes the camera, if it is in that part of the page.
 * @param {HTMLElement} within
 */
export function closeCamera(within) {
  if (open && within.contains(open.place)) open.close();
}

/**
 * Opens the camera in a part of the page; one that was open elsewhere is closed.
 * @param {HTMLElement} place
 * @param {() => void} onClose
 * @returns {Promise<Camera>}
 * @throws {Error} why there is none, for a person
 */
export async function openCamera(place, onClose) {
  open?.close();
  const stream = await streamed();
  const close = () => {
    if (open?.close === close) open = null;
    for (const track of stream.getTracks()) track.stop();
    place.replaceChildren();
    onClose();
  };
  // Another one, that was asked for while the browser asked the user.
  open?.close();
  open = { place, close };
  place.replaceChildren(byId('viewfinder', HTMLTemplateElement).content.cloneNode(true));
  const video = part(place, 'video', HTMLVideoElement);
  for (const track of stream.getTracks()) track.addEventListener('ended', close);
  video.srcObject = stream;
  await video.play();
  return { video, close };
}

async function streamed() {
  if (!navigator.mediaDevices) throw new Error('the camera is for pages of https and of this computer: choose photographs');
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' }, audio: false });
  } catch (error) {
    const { name, message } = /** @type {DOMException} */ (error);
    throw new Error(REASONS[name] ?? `the camera cannot be opened: ${message}`);
  }
}
