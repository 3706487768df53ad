// A dataset: dataset.json, and BMP strips, or arrays, `<split>/x.npy` and `y.npy`.

import { TYPED, readArray } from './array.js';
import { Bmp } from './bmp.js';
import { FormatError } from './errors.js';
import { sampleText, sizeOf, targetText } from './model.js';

/** @typedef {import('./platform.js').Values} Values */
/** @typedef {import('./package.js').Package} Package */
/** @typedef {import('./model.js').Sample} Sample */
/** @typedef {import('./model.js').Target} Target */
/** @typedef {{inputs: Values, label: Values}} Batch what the graphs take of N samples */

/**
 * The samples of one split.
 * @typedef {object} Split
 * @property {number} length
 * @property {BigInt64Array | Float32Array} targets one after another
 * @property {(indices: ArrayLike<number>) => Values} label their targets, as the graphs take them
 * @property {(indices: ArrayLike<number>) => Promise<Batch>} batch
 */

/**
 * @typedef {object} Dataset
 * @property {Sample} sample
 * @property {Target} target
 * @property {readonly string[]} classes
 * @property {ReadonlyMap<string, Split>} splits
 * @property {() => Promise<Int16Array | null>} noise of sound, what its training samples may be mixed with: one after
 *   another, each as long as a sample; null where there is none
 */

const FORMAT = 2;
const FOLDER = 'dataset';

/**
 * @param {Package} files
 * @returns {Promise<Dataset>}
 */
export async function openDataset(files) {
  const path = `${FOLDER}/dataset.json`;
  const { format, sample, target, classes, splits: strips, arrays } = await files.json(path);
  if (format !== FORMAT) {
    throw new FormatError(`${path} has format ${format}, this program reads ${FORMAT}: convert it again`);
  }
  /** @type {Map<string, Split>} */
  const splits = new Map();
  for (const name of Object.keys(strips)) splits.set(name, new PictureSplit(files, sample.shape, target, strips[name]));
  for (const name of Object.keys(arrays)) splits.set(name, await arraySplit(files, name, sample, target, arrays[name]));
  /** @type {ReturnType<Dataset['noise']> | undefined} */
  let noise;
  // It is large, and asked for by those alone who mix it in.
  return { sample, target, classes, splits, noise: () => (noise ??= noiseOf(files, sample)) };
}

/**
 * @param {Package} files
 * @param {Sample} sample
 * @returns {Promise<Int16Array | null>}
 */
async function noiseOf(files, sample) {
  const path = `${FOLDER}/noise.npy`;
  const content = await files.readIfThere(path);
  if (!content) return null;
  const { type, shape, data } = readArray(path, content);
  if (!shape[0] || [type, ...shape.slice(1)].join() !== [sample.dtype, ...sample.shape].join()) {
    throw new FormatError(`${path} holds ${shape} of ${type}, not samples of ${sampleText(sample)}: convert the dataset again`);
  }
  return data;
}

/** A split of BMP strips. @implements {Split} */
class PictureSplit {
  /**
   * @param {Package} files
   * @param {readonly number[]} shape
   * @param {Target} target
   * @param {readonly {file: string, label: number, count: number}[]} strips
   */
  constructor(files, shape, target, strips) {
    this._files = files;
    this._shape = shape;
    this._target = target;
    this._strips = strips;
    this.length = strips.reduce((sum, { count }) => sum + count, 0);
    this.targets = new BigInt64Array(this.length);
    /** Of each picture its strip, and its place there. */
    this._strip = new Uint32Array(this.length);
    this._place = new Uint32Array(this.length);
    let picture = 0;
    strips.forEach(({ label, count }, strip) => {
      for (let place = 0; place < count; place++, picture++) {
        this.targets[picture] = BigInt(label);
        this._strip[picture] = strip;
        this._place[picture] = place;
      }
    });
  }

  label = (/** @type {ArrayLike<number>} */ indices) => targetsAt(this.targets, this._target, indices);

  /** @param {ArrayLike<number>} indices */
  async batch(indices) {
    const size = sizeOf(this._shape);
    const data = new Uint8Array(indices.length * size);
    for (let place = 0; place < indices.length; place++) {
      const file = await this._file(this._strips[this._strip[indices[place]]]);
      const first = this._place[indices[place]] * this._shape[0];
      file.read(first, this._shape[0], data.subarray(place * size, (place + 1) * size));
    }
    const inputs = { type: 'uint8', data, dims: [indices.length, ...this._shape] };
    return { inputs, label: this.label(indices) };
  }

  /** @param {{file: string, count: number}} strip */
  async _file({ file, count }) {
    const path = `${FOLDER}/${file}`;
    const bmp = new Bmp(path, await this._files.kept(path));
    const [height, width, channels] = this._shape;
    if (bmp.rows !== count * height || bmp.width !== width || bmp.channels !== channels) {
      throw new FormatError(`${path} holds other pictures than dataset.json says: convert the dataset again`);
    }
    return bmp;
  }
}

/**
 * A split of arrays, which are in memory.
 * @param {Package} files
 * @param {string} name
 * @param {Sample} sample
 * @param {Target} target
 * @param {number} count
 * @returns {Promise<Split>}
 */
async function arraySplit(files, name, sample, target, count) {
  const [samples, targets] = await Promise.all(
    ['x', 'y'].map(async (file) => {
      const path = `${FOLDER}/${name}/${file}.npy`;
      return readArray(path, await files.read(path));
    }),
  );
  const says = [sample.dtype, count, ...sample.shape, target.kind === 'class' ? 'int64' : 'float32', count, ...target.shape];
  const holds = [samples.type, ...samples.shape, targets.type, ...targets.shape];
  if (says.join() !== holds.join()) {
    throw new FormatError(`${FOLDER}/${name} holds ${holds}, dataset.json says ${says}: convert the dataset again`);
  }
  const size = sizeOf(sample.shape);
  const label = (/** @type {ArrayLike<number>} */ indices) => targetsAt(targets.data, target, indices);
  const batch = async (/** @type {ArrayLike<number>} */ indices) => {
    const data = rowsAt(samples.data, size, indices);
    return { inputs: { type: sample.dtype, data, dims: [indices.length, ...sample.shape] }, label: label(indices) };
  };
  return { length: count, targets: targets.data, label, batch };
}

/**
 * @param {BigInt64Array | Float32Array} targets
 * @param {Target} target
 * @param {ArrayLike<number>} indices
 * @returns {Values}
 */
export function targetsAt(targets, target, indices) {
  const data = rowsAt(targets, sizeOf(target.shape), indices);
  return { type: target.kind === 'class' ? 'int64' : 'float32', data, dims: [indices.length, ...target.shape] };
}

/**
 * @param {any} array typed, rows of `size` one after another
 * @param {number} size
 * @param {ArrayLike<number>} indices
 */
export function rowsAt(array, size, indices) {
  const rows = new array.constructor(indices.length * size);
  for (let place = 0; place < indices.length; place++) {
    const first = indices[place] * size;
    rows.set(array.subarray(first, first + size), place * size);
  }
  return rows;
}

/**
 * Batches one behind another.
 * @param {readonly Batch[]} batches
 * @returns {Batch} with an axis more, in front
 */
export function stacked(batches) {
  const all = (/** @type {keyof Batch} */ name) => {
    const [{ type, data, dims }] = batches.map((batch) => batch[name]);
    const whole = new TYPED[type](data.length * batches.length);
    batches.forEach((batch, place) => whole.set(batch[name].data, place * data.length));
    return { type, data: whole, dims: [batches.length, ...dims] };
  };
  return { inputs: all('inputs'), label: all('label') };
}

/**
 * What does not fit between a dataset and a model, for a person.
 * @param {Dataset} dataset
 * @param {import('./model.js').Model} model
 */
export function misfits(dataset, model) {
  const problems = [];
  if (JSON.stringify(dataset.sample) !== JSON.stringify(model.input)) {
    problems.push(`its samples are ${sampleText(dataset.sample)}, the model takes ${sampleText(model.input)}`);
  }
  const [given, known] = [dataset.target, model.target];
  const fewer = given.kind === 'class' && given.count <= known.count;
  if (JSON.stringify({ ...given, count: fewer ? known.count : given.count }) !== JSON.stringify(known)) {
    problems.push(`it has ${targetText(given)}, the model ${targetText(known)}`);
  }
  const missing = ['train', 'test'].filter((name) => !dataset.splits.get(name)?.length);
  if (missing.length) problems.push(`it has no images in ${missing.join(' and ')}`);
  return problems;
}
