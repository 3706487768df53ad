// Photographs → the pixels that the model takes, as the dataset's preparation says (docs/teach.md has where they differ).

import { resized } from './resampling.js';

/** @typedef {import('./resampling.js').Pixels} Pixels */

/**
 * dataset/preparation.json.
 * @typedef {object} Preparation
 * @property {number} height of the middle part that is cut out
 * @property {number} width
 * @property {number} resize_height the picture is scaled to the smallest size that covers this
 * @property {number} resize_width
 * @property {'RGB' | 'L'} mode
 * @property {readonly number[]} background shown by what is transparent
 */

// A picture of so many times the size is first drawn at a half, a quarter or an eighth, as Pillow does with JPEG.
const ROOM = 4;
const MOST_HALVINGS = 3;

const THUMBNAIL = 96;

/**
 * @param {Blob | ImageBitmap} picture
 * @param {Preparation} preparation
 * @returns {Promise<Pixels>} as the model takes them
 */
export async function prepared(picture, preparation) {
  // Upright, and with the numbers that stand in the file, whatever profile of colours it names.
  const options = /** @type {const} */ ({ imageOrientation: 'from-image', colorSpaceConversion: 'none' });
  const bitmap = picture instanceof Blob ? await createImageBitmap(picture, options) : picture;
  const pixels = drawn(bitmap, preparation);
  bitmap.close();
  return centre(pixels, preparation);
}

/**
 * @param {Pixels} pixels
 * @returns {Promise<Blob>} a small picture of what the model sees
 */
export async function thumbnailOf({ width, height, channels, data }) {
  const whole = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[pixel * 4 + channel] = data[pixel * channels + Math.min(channel, channels - 1)];
    }
    image.data[pixel * 4 + 3] = 255;
  }
  contextOf(whole).putImageData(image, 0, 0);
  const scale = Math.min(1, THUMBNAIL / Math.max(width, height));
  const small = new OffscreenCanvas(Math.ceil(width * scale), Math.ceil(height * scale));
  const context = contextOf(small);
  context.imageSmoothingQuality = 'high';
  context.drawImage(whole, 0, 0, small.width, small.height);
  return small.convertToBlob({ type: 'image/jpeg', quality: 0.85 });
}

/**
 * @param {ImageBitmap} bitmap
 * @param {Preparation} preparation
 * @returns {Pixels} RGB
 */
function drawn(bitmap, { resize_height: high, resize_width: wide, background }) {
  let size = 1;
  for (let halving = 0; halving < MOST_HALVINGS; halving++) {
    if (Math.min(bitmap.width / wide, bitmap.height / high) >= ROOM * size * 2) size *= 2;
  }
  const [width, height] = [Math.ceil(bitmap.width / size), Math.ceil(bitmap.height / size)];
  const context = contextOf(new OffscreenCanvas(width, height));
  context.fillStyle = `rgb(${background.join(' ')})`;
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  const { data: opaque } = context.getImageData(0, 0, width, height);
  const data = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) data[pixel * 3 + channel] = opaque[pixel * 4 + channel];
  }
  return { width, height, channels: 3, data };
}

/**
 * The middle part, of the picture scaled to cover what is asked for.
 * @param {Pixels} coloured RGB
 * @param {Preparation} preparation
 */
export function centre(coloured, preparation) {
  const pixels = preparation.mode === 'L' ? grey(coloured) : coloured;
  const { width, height } = pixels;
  const [wide, high] = covering(width, height, preparation);
  const left = Math.floor((wide - preparation.width) / 2);
  const top = Math.floor((high - preparation.height) / 2);
  const [across, down] = [width / wide, height / high];
  const box = {
    left: left * across,
    top: top * down,
    right: (left + preparation.width) * across,
    bottom: (top + preparation.height) * down,
  };
  return resized(pixels, box, preparation.width, preparation.height);
}

/**
 * @param {number} width
 * @param {number} height
 * @param {Preparation} preparation
 */
function covering(width, height, { resize_width: wide, resize_height: high }) {
  if (high * width >= wide * height) return [Math.floor((high * width) / height), high];
  return [wide, Math.floor((wide * height) / width)];
}

/**
 * @param {Pixels} pixels RGB
 * @returns {Pixels} as Pillow's `convert("L")`
 */
function grey({ width, height, data }) {
  const found = new Uint8Array(width * height);
  for (let pixel = 0; pixel < found.length; pixel++) {
    const [red, green, blue] = data.subarray(pixel * 3, pixel * 3 + 3);
    found[pixel] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
  }
  return { width, height, channels: 1, data: found };
}

/** @param {OffscreenCanvas} canvas */
function contextOf(canvas) {
  // Read, and so kept in memory and not on a graphics card, whose numbers are its own.
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser draws no pictures in a worker');
  return context;
}
