// model.json: what the graphs of a model folder take and give, and the recipe's defaults.

import { FormatError } from './errors.js';
import { pythonJson, sha256 } from './text.js';

/** @typedef {{name: string, shape: readonly number[], offset: number}} TensorPlace in a flat vector, in elements */
/** @typedef {{dtype: string, shape: readonly number[]}} Sample one sample as the dataset has it */

/**
 * What is to be said of a sample: one class, a class for each position, labels or values.
 * @typedef {object} Target
 * @property {'class' | 'labels' | 'values'} kind
 * @property {number} count of classes, labels or values
 * @property {readonly number[]} shape of one sample's target
 * @property {number | null} ignore what stands where a position has no class
 */

/**
 * @typedef {object} Model
 * @property {string} name
 * @property {string} digest
 * @property {Sample} input
 * @property {Target} target
 * @property {readonly TensorPlace[]} parameters
 * @property {readonly TensorPlace[]} buffers
 * @property {{name: string, states: readonly string[]}} optimizer
 * @property {readonly number[] | null} features shape of one sample's features behind a frozen backbone
 * @property {{batch_size: number, cycles: number, learning_rate: number, report_every: number, evaluate_every: number,
 *   target_accuracy: number | null}} recipe
 * @property {string} loss
 * @property {number | null} clip_norm
 * @property {boolean} proximal
 */

const FORMAT = 2;

/** @param {readonly number[]} shape */
export const sizeOf = (shape) => shape.reduce((product, axis) => product * axis, 1);

/** @param {readonly TensorPlace[]} tensors */
export const vectorSize = (tensors) => tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);

/** @param {Target} target */
export const isOneClass = (target) => target.kind === 'class' && !target.shape.length;

/** @param {Sample} sample */
export const isPicture = ({ dtype, shape }) => dtype === 'uint8' && shape.length === 3 && [1, 3].includes(shape[2]);

/** One sample of 16 bits after another, as recordings are. @param {Sample} sample */
export const isSound = ({ dtype, shape }) => dtype === 'int16' && shape.length === 1;

/** A sample for a person. @param {Sample} sample */
export function sampleText(sample) {
  const sizes = sample.shape.join(' × ') || 'a number';
  return isPicture(sample) ? sizes : `${sizes}, ${sample.dtype}`;
}

/** Targets for a person. @param {Target} target */
export function targetText({ kind, count, shape }) {
  if (kind !== 'class') return `${count} ${kind}`;
  return `${count} classes${shape.length ? ` for each of ${shape.join(' × ')} positions` : ''}`;
}

/**
 * The part of a flat vector that a tensor is, in the same memory.
 * @param {Float32Array} vector
 * @param {TensorPlace} tensor
 */
export const partOf = (vector, { offset, shape }) => vector.subarray(offset, offset + sizeOf(shape));

/**
 * @param {import('./package.js').Package} files
 * @returns {Promise<Model>}
 */
export async function readModel(files) {
  const path = 'model/model.json';
  const model = await files.json(path);
  if (model.format !== FORMAT) {
    throw new FormatError(`${path} has format ${model.format}, this program reads ${FORMAT}: package again`);
  }
  /** @param {TensorPlace[]} tensors */
  const layout = (tensors) => tensors.map(({ name, offset, shape }) => ({ name, offset, shape }));
  const content = [model.name, layout(model.parameters), layout(model.buffers)];
  if (model.digest !== (await sha256(pythonJson(content)))) {
    throw new FormatError(`${path} was changed since it was written: package the model again`);
  }
  return model;
}
