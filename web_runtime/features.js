// Features of a frozen backbone: of each batch, or once for each sample, and then from memory.

import { rowsAt } from './dataset.js';
import { sessionOptions } from './engine.js';
import { sizeOf } from './model.js';

/** @typedef {import('./dataset.js').Split} Split */

const BATCH = 32;

/** features.onnx: samples to features. */
export class Backbone {
  /**
   * @param {import('./package.js').Package} files
   * @param {import('./platform.js').Platform['Tensor']} Tensor
   * @param {number} threads
   */
  static async open(files, Tensor, threads) {
    return new Backbone(await files.session('model/features.onnx', sessionOptions(threads)), Tensor);
  }

  /**
   * @param {import('./platform.js').Session} session
   * @param {import('./platform.js').Platform['Tensor']} Tensor
   */
  constructor(session, Tensor) {
    this._session = session;
    this._Tensor = Tensor;
  }

  /**
   * @param {import('./dataset.js').Batch} batch
   * @returns {Promise<import('./dataset.js').Batch>} with features in place of the samples
   */
  async of({ inputs: { type, data, dims }, label }) {
    const { features } = await this._session.run({ image: new this._Tensor(type, data, dims) }, ['features']);
    return { inputs: { type: 'float32', data: features.data, dims: features.dims }, label };
  }
}

/**
 * A split whose samples pass the backbone each time they are asked for.
 * @param {Split} split
 * @param {Backbone} backbone
 * @returns {Split}
 */
export function live(split, backbone) {
  const batch = async (/** @type {ArrayLike<number>} */ indices) => backbone.of(await split.batch(indices));
  return { ...view(split), batch };
}

/**
 * A split whose samples pass the backbone once, now.
 * @param {Split} split
 * @param {Backbone} backbone
 * @param {readonly number[]} shape of one sample's features
 * @returns {Promise<Split>}
 */
export async function cached(split, backbone, shape) {
  const size = sizeOf(shape);
  const rows = new Float32Array(split.length * size);
  for (let start = 0; start < split.length; start += BATCH) {
    const indices = Array.from({ length: Math.min(BATCH, split.length - start) }, (_, place) => start + place);
    rows.set((await backbone.of(await split.batch(indices))).inputs.data, start * size);
  }
  return ofRows(rows, shape, split);
}

/**
 * A split of features that are in memory.
 * @param {Float32Array} rows one after another
 * @param {readonly number[]} shape of one sample's features
 * @param {Pick<Split, 'length' | 'targets' | 'label'>} split what else there is of it
 * @returns {Split}
 */
export function ofRows(rows, shape, split) {
  const batch = async (/** @type {ArrayLike<number>} */ indices) => ({
    inputs: { type: 'float32', data: rowsAt(rows, sizeOf(shape), indices), dims: [indices.length, ...shape] },
    label: split.label(indices),
  });
  return { ...view(split), batch };
}

/**
 * What of a split has nothing to do with its samples.
 * @param {Pick<Split, 'length' | 'targets' | 'label'>} split
 */
const view = ({ length, targets, label }) => ({ length, targets, label });
