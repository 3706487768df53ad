// Checkpoints: safetensors files with parameters under their names, optimizer state, the step and the training's plan.

import { FormatError } from './errors.js';
import { partOf, vectorSize } from './model.js';
import { byName, bytesOf, joined, pythonJson, sha256, sorted } from './text.js';

/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./model.js').TensorPlace} TensorPlace */

/**
 * The training that a checkpoint is of.
 * @typedef {object} Run
 * @property {string} id empty for none
 * @property {string} package digest of model and dataset
 * @property {Record<string, any>} plan
 */

/**
 * The state of a training.
 * @typedef {object} Checkpoint
 * @property {number} step updates made; 0 is the untrained model
 * @property {Float32Array} parameters
 * @property {Float32Array} buffers
 * @property {Record<string, Float32Array>} states of the optimizer; empty where `step` is 0
 * @property {Run} run
 * @property {string} optimizer that trained it
 */

const FORMAT = '2';
const SUFFIX = '.safetensors';

/** @param {Pick<Model, 'name'>} model @param {number} step */
export const trainedName = (model, step) => `${model.name}_trained_${step}${SUFFIX}`;

/** @param {Model} model */
export const untrainedName = (model) => `${model.name}_untrained${SUFFIX}`;

/**
 * The step of a checkpoint of a model, by its file's name.
 * @param {Model} model
 * @param {string} name
 * @returns {number | null}
 */
export function stepIn(model, name) {
  const [before, after] = [`${model.name}_trained_`, SUFFIX];
  const number = name.startsWith(before) && name.endsWith(after) ? name.slice(before.length, -after.length) : '';
  return /^\d+$/.test(number) ? Number(number) : null;
}

/**
 * A checkpoint as a safetensors file: the same content gives the same bytes.
 * @param {Checkpoint} checkpoint
 * @param {Model} model
 * @param {Record<string, string>} more metadata that a reader may do without
 * @returns {Promise<Uint8Array>}
 */
export async function writeCheckpoint({ step, parameters, buffers, states, run }, model, more = {}) {
  const tensors = tensorsOf({ parameters, buffers, states }, model);
  /** @type {Record<string, string>} */
  const metadata = {
    ...more,
    format: FORMAT,
    model: model.name,
    digest: model.digest,
    optimizer: model.optimizer.name,
    step: String(step),
    run: run.id,
    package: run.package,
    plan: pythonJson(run.plan),
  };
  metadata.content = await contentOf(metadata, tensors);
  /** @type {[string, object][]} */
  const header = [['__metadata__', sorted(metadata)]];
  let start = 0;
  for (const [name, { shape, data }] of tensors) {
    header.push([name, { dtype: 'F32', shape, data_offsets: [start, start + data.byteLength] }]);
    start += data.byteLength;
  }
  const text = new TextEncoder().encode(objectOf(header));
  // Numbers begin at a multiple of their size.
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(32);
  padded.set(text);
  const length = new BigUint64Array([BigInt(padded.length)]);
  return joined([length, padded, ...tensors.map(([, { data }]) => data)]);
}

/**
 * @param {string} name of the file
 * @param {Uint8Array} bytes
 * @param {Model} model
 * @returns {Promise<Checkpoint>}
 */
export async function readCheckpoint(name, bytes, model) {
  const { metadata, entries, numbers } = partsOf(name, bytes);
  if (metadata.format !== FORMAT) {
    throw new FormatError(`${name} has format ${metadata.format}, this program reads checkpoints of ${FORMAT}: train again`);
  }
  if (metadata.digest !== model.digest) {
    throw new FormatError(`${name} is a checkpoint of another model (${metadata.model}); this package holds ${model.name}`);
  }
  const states = model.optimizer.states.filter((state) => entries.has(`optimizer.${state}.${model.parameters[0].name}`));
  const found = {
    step: Number(metadata.step),
    parameters: new Float32Array(vectorSize(model.parameters)),
    buffers: new Float32Array(vectorSize(model.buffers)),
    states: Object.fromEntries(states.map((state) => [state, new Float32Array(vectorSize(model.parameters))])),
    run: { id: metadata.run, package: metadata.package, plan: JSON.parse(metadata.plan) },
    optimizer: metadata.optimizer,
  };
  const tensors = tensorsOf(found, model);
  if (tensors.length !== entries.size) throw damaged(name, 'it has other tensors than the model');
  for (const [tensor, { shape, data }] of tensors) {
    const entry = entries.get(tensor);
    if (entry?.dtype !== 'F32' || entry.shape.join() !== shape.join()) throw damaged(name, `${tensor} is another one`);
    const [start, end] = entry.data_offsets;
    if (end - start !== data.byteLength || end > numbers.length) throw damaged(name, `${tensor} is cut short`);
    bytesOf(data).set(numbers.subarray(start, end));
  }
  if (metadata.content !== (await contentOf(metadata, tensors))) {
    throw damaged(name, 'its content is not what its digest says');
  }
  return found;
}

/**
 * @param {string} name
 * @param {string} reason
 */
const damaged = (name, reason) => new FormatError(`${name} is not a whole checkpoint (${reason}): fetch or save it again`);

/**
 * @param {string} name
 * @param {Uint8Array} bytes
 * @returns {{metadata: Record<string, string>, entries: Map<string, any>, numbers: Uint8Array}}
 */
function partsOf(name, bytes) {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = 8 + Number(view.getBigUint64(0, true));
    if (end > bytes.length) throw new Error('its header is cut short');
    const { __metadata__: metadata, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, end)));
    return { metadata: metadata ?? {}, entries: new Map(Object.entries(entries)), numbers: bytes.subarray(end) };
  } catch (error) {
    throw damaged(name, /** @type {Error} */ (error).message);
  }
}

/**
 * @param {Pick<Checkpoint, 'parameters' | 'buffers' | 'states'>} checkpoint
 * @param {Model} model
 * @returns {[string, {shape: readonly number[], data: Float32Array}][]} sorted by name, in the memory of the vectors
 */
function tensorsOf({ parameters, buffers, states }, model) {
  /** @type {(vector: Float32Array, places: readonly TensorPlace[], prefix?: string) => [string, any][]} */
  const named = (vector, places, prefix = '') =>
    places.map((place) => [`${prefix}${place.name}`, { shape: place.shape, data: partOf(vector, place) }]);
  const ofStates = Object.entries(states).flatMap(([state, vector]) => named(vector, model.parameters, `optimizer.${state}.`));
  return [...named(parameters, model.parameters), ...named(buffers, model.buffers), ...ofStates].sort(byName);
}

/**
 * SHA-256 over the rest of the metadata and all tensors.
 * @param {Record<string, string>} metadata
 * @param {readonly [string, {shape: readonly number[], data: Float32Array}][]} tensors
 */
function contentOf({ content: _, ...described }, tensors) {
  const parts = tensors.flatMap(([name, { shape, data }]) => [`${name} ${tupleOf(shape)} float32`, data]);
  return sha256(pythonJson(sorted(described)), ...parts);
}

/** @param {readonly number[]} shape as Python prints it */
const tupleOf = (shape) => (shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`);

/** @param {readonly [string, unknown][]} entries a JSON object in exactly this order, also of names that are numbers */
const objectOf = (entries) =>
  `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;

