// Pictures of another size, as Pillow's `resize(size, BILINEAR, box=…)` makes them: to the last bit, but for tall ones, of
// which Pillow 13 makes the columns smaller first, so that some numbers are others by one.

/** @typedef {{width: number, height: number, channels: number, data: Uint8Array | Uint8ClampedArray}} Pixels row by row */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Box in pixels, also in parts of them */
/** @typedef {{first: number, weights: Int32Array}} Taps pixels that become one, and how much each is worth */

// Weights are whole numbers, as which 1 is so much.
const BITS = 22;

/**
 * A part of a picture in another size: bilinear, over all pixels that fall together (antialiased).
 * @param {Pixels} pixels
 * @param {Box} box the part
 * @param {number} width
 * @param {number} height
 * @returns {Pixels}
 */
export function resized(pixels, box, width, height) {
  const across = tapsOf(pixels.width, box.left, box.right, width);
  const down = tapsOf(pixels.height, box.top, box.bottom, height);
  const { channels } = pixels;
  const narrow = new Uint8Array(pixels.height * width * channels);
  // Rows that the second pass looks at.
  const [top, last] = [down[0].first, down[height - 1]];
  for (let row = top; row < last.first + last.weights.length; row++) {
    for (let column = 0; column < width; column++) {
      const { first, weights } = across[column];
      const [from, to] = [(row * pixels.width + first) * channels, (row * width + column) * channels];
      weigh(pixels.data, from, channels, weights, narrow, to, channels);
    }
  }
  const data = new Uint8Array(height * width * channels);
  for (let row = 0; row < height; row++) {
    const { first, weights } = down[row];
    for (let column = 0; column < width; column++) {
      const [from, to] = [(first * width + column) * channels, (row * width + column) * channels];
      weigh(narrow, from, width * channels, weights, data, to, channels);
    }
  }
  return { width, height, channels, data };
}

/**
 * @param {Uint8Array | Uint8ClampedArray} source
 * @param {number} from place of the first pixel
 * @param {number} stride from pixel to pixel
 * @param {Int32Array} weights
 * @param {Uint8Array} target
 * @param {number} to
 * @param {number} channels
 */
function weigh(source, from, stride, weights, target, to, channels) {
  for (let channel = 0; channel < channels; channel++) {
    let sum = 1 << (BITS - 1);
    for (let tap = 0; tap < weights.length; tap++) sum += source[from + channel + tap * stride] * weights[tap];
    target[to + channel] = Math.min(sum >> BITS, 255);
  }
}

/**
 * @param {number} size in pixels, all there are
 * @param {number} start of what is made smaller; Pillow keeps both ends in float32
 * @param {number} end
 * @param {number} count of pixels that it becomes
 * @returns {Taps[]}
 */
function tapsOf(size, start, end, count) {
  const from = Math.fround(start);
  const scale = Math.fround(Math.fround(end) - from) / count;
  const reach = Math.max(scale, 1);
  return Array.from({ length: count }, (_, place) => {
    const middle = from + (place + 0.5) * scale;
    const first = Math.max(Math.trunc(middle - reach + 0.5), 0);
    const beyond = Math.min(Math.trunc(middle + reach + 0.5), size);
    const factor = 1 / reach;
    const triangle = Array.from({ length: beyond - first }, (_, tap) => {
      return Math.max(0, 1 - Math.abs((tap + first - middle + 0.5) * factor));
    });
    const sum = triangle.reduce((total, each) => total + each, 0);
    return { first, weights: Int32Array.from(triangle, (each) => Math.trunc(0.5 + (each / sum) * 2 ** BITS)) };
  });
}
