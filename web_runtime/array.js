// numpy's .npy.

import { FormatError } from './errors.js';

/** By numpy's names of types: ONNX's, and the typed array. */
const KINDS = /** @type {const} */ ({
  u1: ['uint8', Uint8Array],
  i2: ['int16', Int16Array],
  i4: ['int32', Int32Array],
  i8: ['int64', BigInt64Array],
  f2: ['float16', Uint16Array],
  f4: ['float32', Float32Array],
});

/**
 * @param {string} path
 * @param {Uint8Array} content
 * @returns {{type: string, shape: number[], data: any}}
 */
export function readArray(path, content) {
  const text = new TextDecoder('latin1').decode(content.subarray(0, 2 ** 16));
  const first = text.charCodeAt(6) === 1 ? 10 : 12;
  const header = text.slice(first, text.indexOf('\n') + 1);
  const kind = /'descr': '[<|]([uif][1248])'/.exec(header)?.[1] ?? '';
  const shape = /'shape': \(([\d, ]*)\)/.exec(header)?.[1];
  if (!text.startsWith('\x93NUMPY') || !(kind in KINDS) || shape === undefined || !header.includes("'fortran_order': False")) {
    throw new FormatError(`${path} is no array that can be read: convert the dataset again`);
  }
  const [type, Kind] = KINDS[/** @type {keyof typeof KINDS} */ (kind)];
  const sizes = shape.split(',').filter((size) => size.trim()).map(Number);
  // Copied, as a typed array begins at a multiple of its elements' size; a Buffer's `slice` would not copy.
  const data = new Uint8Array(content.subarray(first + header.length));
  if (data.length !== sizes.reduce((product, size) => product * size, Kind.BYTES_PER_ELEMENT)) {
    throw new FormatError(`${path} was cut: convert the dataset again`);
  }
  return { type, shape: sizes, data: new Kind(data.buffer) };
}

/** @type {Readonly<Record<string, any>>} the typed array of each of ONNX's names */
export const TYPED = Object.fromEntries(Object.values(KINDS));
