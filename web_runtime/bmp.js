// Uncompressed BMP: one picture, or a strip of pictures of one size stacked top-down; 8 bit grey or 24 bit.

import { FormatError } from './errors.js';

const HEADERS = 54;

/** A file of `rows` rows. */
export class Bmp {
  /**
   * @param {string} path
   * @param {Uint8Array} content
   */
  constructor(path, content) {
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    if (content.length < HEADERS || view.getUint16(0, true) !== 0x4d42) {
      throw new FormatError(`${path} is not a BMP file; convert the dataset again`);
    }
    const [bits, compression] = [view.getUint16(28, true), view.getUint32(30, true)];
    const height = view.getInt32(22, true);
    this.width = view.getInt32(18, true);
    if (compression !== 0 || ![8, 24].includes(bits) || this.width <= 0 || height === 0) {
      throw new FormatError(
        `${path} is a BMP of ${bits} bits, compression ${compression}: only plain 8 and 24 bits are read`,
      );
    }
    this.channels = bits / 8;
    this.rows = Math.abs(height);
    // A negative height says that the first row is the top one.
    this._bottomUp = height > 0;
    this._offset = view.getUint32(10, true);
    this._stride = Math.floor((this.width * this.channels + 3) / 4) * 4;
    this._content = content;
    const size = this._offset + this._stride * this.rows;
    if (content.length < size) {
      throw new FormatError(`${path} is cut short: ${content.length} of ${size} bytes; convert the dataset again`);
    }
  }

  /**
   * Copies rows, of colours red first.
   * @param {number} first from the top
   * @param {number} count
   * @param {Uint8Array} into count × width × channels
   */
  read(first, count, into) {
    const bytes = this.width * this.channels;
    for (let row = 0; row < count; row++) {
      const stored = this._bottomUp ? this.rows - 1 - first - row : first + row;
      const start = this._offset + stored * this._stride;
      into.set(this._content.subarray(start, start + bytes), row * bytes);
    }
    if (this.channels === 1) return;
    for (let pixel = 0; pixel < count * bytes; pixel += 3) {
      [into[pixel], into[pixel + 2]] = [into[pixel + 2], into[pixel]];
    }
  }
}
