// Where teaching begins: the untrained head, with a last layer that takes no class for likelier than another.

import { partOf } from '../model.js';

/** @typedef {import('../checkpoint.js').Checkpoint} Checkpoint */
/** @typedef {import('../model.js').Model} Model */

/**
 * A few photographs teach few of a layer's directions: in all others its random weights would stay, and be an opinion of
 * every picture. At zero they are none. Only of a last layer: behind others that are zero, nothing would learn.
 * @param {Checkpoint} untrained is changed
 * @param {Model} model
 * @returns {Checkpoint}
 */
export function withoutOpinion(untrained, { parameters, target }) {
  const weight = parameters.findLast(({ shape }) => shape.length > 1);
  if (!weight?.shape.slice(0, 2).includes(target.count)) return untrained;
  const isBias = (/** @type {import('../model.js').TensorPlace} */ { shape, offset }) =>
    shape.length === 1 && shape[0] === target.count && offset > weight.offset;
  for (const place of [weight, ...parameters.filter(isBias)]) partOf(untrained.parameters, place).fill(0);
  return untrained;
}
