// Training pictures that look a little different in each epoch: mirrored, or shifted.

import { Random } from './random.js';

/** @typedef {import('./dataset.js').Split} Split */
/** @typedef {{flip: boolean, down: number, right: number}} Change mirrored or not, then shifted by whole pixels */

/**
 * What happens to a picture in an epoch.
 * @param {readonly string[]} kinds `flip`, `crop`
 * @param {number | bigint} seed
 * @param {number} epoch from 0
 * @param {number} index of the picture in its split
 * @param {number} height
 * @param {number} width
 * @returns {Change}
 */
export function changeOf(kinds, seed, epoch, index, height, width) {
  const random = drawingFor(index, seed, epoch);
  // Always drawn, so that flips stay what they are when crops are added.
  const flip = random.upTo(1) === 1;
  const [mostDown, mostRight] = [Math.floor(height / 8), Math.floor(width / 8)];
  const down = random.upTo(2 * mostDown) - mostDown;
  const right = random.upTo(2 * mostRight) - mostRight;
  const crops = kinds.includes('crop');
  return { flip: kinds.includes('flip') && flip, down: crops ? down : 0, right: crops ? right : 0 };
}

/**
 * What draws the changes of a sample in an epoch.
 * @param {number} index of the sample in its split
 * @param {number | bigint} seed
 * @param {number} epoch from 0
 */
export const drawingFor = (index, seed, epoch) => new Random([seed, epoch, index + 1]);

/**
 * Writes a picture as a change leaves it.
 * @param {Uint8Array} picture height × width × channels
 * @param {Uint8Array} into of the same size
 * @param {readonly number[]} shape
 * @param {Change} change
 */
export function change(picture, into, [height, width, channels], { flip, down, right }) {
  for (let row = 0; row < height; row++) {
    const source = mirrored(row - down, height) * width;
    for (let column = 0; column < width; column++) {
      const place = mirrored(column - right, width);
      const pixel = (source + (flip ? width - 1 - place : place)) * channels;
      const target = (row * width + column) * channels;
      for (let channel = 0; channel < channels; channel++) into[target + channel] = picture[pixel + channel];
    }
  }
}

/** A split's pictures as they are in one epoch. @implements {Split} */
export class Augmented {
  /**
   * @param {Split} pictures
   * @param {readonly number[]} shape of a picture
   * @param {readonly string[]} kinds
   * @param {number | bigint} seed
   * @param {number} epoch
   */
  constructor(pictures, shape, kinds, seed, epoch) {
    this._pictures = pictures;
    this._shape = shape;
    this._changeOf = (/** @type {number} */ index) => changeOf(kinds, seed, epoch, index, shape[0], shape[1]);
    this.length = pictures.length;
    this.targets = pictures.targets;
    this.label = pictures.label;
  }

  /** @param {ArrayLike<number>} indices */
  async batch(indices) {
    const { inputs, label } = await this._pictures.batch(indices);
    const size = this._shape.reduce((product, axis) => product * axis, 1);
    const data = new Uint8Array(inputs.data.length);
    Array.from(indices, (index, place) => {
      const [first, end] = [place * size, (place + 1) * size];
      change(inputs.data.subarray(first, end), data.subarray(first, end), this._shape, this._changeOf(index));
    });
    return { inputs: { ...inputs, data }, label };
  }
}

/**
 * A position beyond the border, as seen in a mirror that stands on the outermost pixel.
 * @param {number} position
 * @param {number} size
 */
function mirrored(position, size) {
  const inside = Math.abs(position);
  return inside >= size ? 2 * (size - 1) - inside : inside;
}
