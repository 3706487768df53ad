// What the worker does: pictures through the frozen backbone, a head that is taught on their features, and recognises.

import { Batches } from '../batches.js';
import { readCheckpoint, untrainedName, writeCheckpoint } from '../checkpoint.js';
import { targetsAt } from '../dataset.js';
import { Engine } from '../engine.js';
import { FormatError } from '../errors.js';
import { howOf, probabilitiesOf } from '../evaluation.js';
import { Backbone, ofRows } from '../features.js';
import { general } from '../lines.js';
import { isOneClass, isPicture, readModel } from '../model.js';
import { Package } from '../package.js';
import { makePlan, rateAt, recordOf } from '../plan.js';
import { withoutOpinion } from './beginning.js';
import { prepared, thumbnailOf } from './pictures.js';

/** @typedef {import('../checkpoint.js').Checkpoint} Checkpoint */
/** @typedef {import('../platform.js').Platform} Platform */

/**
 * What a page has to know of the package.
 * @typedef {object} Subject
 * @property {string} name of the model
 * @property {string} digest of model and dataset
 * @property {number} outputs of the head: so many classes at most
 * @property {number} cycles updates, as the recipe has them
 * @property {number} learning_rate
 */

/** @typedef {{features: Float32Array, thumbnail: Blob}} Seen what is kept of a picture */
/** @typedef {{step: number, last: number, loss: number}} Progress after an update */
/** @typedef {{cycles: number, learning_rate: number, names: readonly string[]}} Wishes names: of the classes, by output */
/** @typedef {{step: number, loss: number, checkpoint: Uint8Array}} Taught */

// One label for pictures that have none: the loss that it gives is not looked at.
const UNKNOWN = { type: 'int64', data: BigInt64Array.of(0n), dims: [1] };

/** A frozen backbone, and the head that is taught. */
export class Teacher {
  /**
   * @param {Platform} platform
   * @param {number} threads
   */
  static async open(platform, threads) {
    const files = await Package.open(platform);
    const model = await readModel(files);
    if (!model.features || !isPicture(model.input) || !isOneClass(model.target)) {
      throw new FormatError(`${model.name} has no frozen backbone for pictures of one class: package with --model transfer`);
    }
    const preparation = await files.json('dataset/preparation.json');
    const backbone = await Backbone.open(files, platform.Tensor, threads);
    const file = `model/${untrainedName(model)}`;
    const untrained = () => files.read(file).then((bytes) => readCheckpoint(file, bytes, model));
    return new Teacher({ platform, threads, files, model, shape: model.features, preparation, backbone, untrained });
  }

  /**
   * @param {object} parts
   * @param {Platform} parts.platform
   * @param {number} parts.threads
   * @param {Package} parts.files
   * @param {import('../model.js').Model} parts.model
   * @param {readonly number[]} parts.shape of features
   * @param {import('./pictures.js').Preparation} parts.preparation
   * @param {Backbone} parts.backbone
   * @param {() => Promise<Checkpoint>} parts.untrained
   */
  constructor(parts) {
    this._parts = parts;
    /** @type {{engine: Engine, batchSize: number} | null} */
    this._head = null;
  }

  /** @returns {Subject} */
  get subject() {
    const { model, files } = this._parts;
    const { cycles, learning_rate } = model.recipe;
    return { name: model.name, digest: files.digest, outputs: model.target.count, cycles, learning_rate };
  }

  /**
   * @param {Blob | ImageBitmap} picture
   * @returns {Promise<Seen>}
   */
  async see(picture) {
    const { preparation, backbone, model } = this._parts;
    const pixels = await prepared(picture, preparation);
    const inputs = { type: 'uint8', data: pixels.data, dims: [1, ...model.input.shape] };
    const found = (await backbone.of({ inputs, label: UNKNOWN })).inputs.data;
    // A copy: the runtime may give a view of all its memory.
    return { features: Float32Array.from(found), thumbnail: await thumbnailOf(pixels) };
  }

  /**
   * Teaches a new head, until it has made all updates or is stopped.
   * @param {Float32Array} rows features of the pictures, one after another
   * @param {readonly number[]} labels the output of each
   * @param {Wishes} wishes
   * @param {(progress: Progress) => void} onProgress
   * @param {() => boolean} isStopped
   * @returns {Promise<Taught | null>} null where it was stopped before the first update
   */
  async teach(rows, labels, wishes, onProgress, isStopped) {
    const { platform, model, shape, threads, files } = this._parts;
    const start = withoutOpinion(await this._parts.untrained(), model);
    const { cycles, learning_rate, names } = wishes;
    const batch_size = Math.min(model.recipe.batch_size, labels.length);
    const plan = makePlan({ cycles, learning_rate, batch_size }, model, start, labels.length, threads);
    const engine = this._restored(start, batch_size);
    const targets = BigInt64Array.from(labels, BigInt);
    const label = (/** @type {ArrayLike<number>} */ indices) => targetsAt(targets, model.target, indices);
    const split = ofRows(rows, shape, { length: labels.length, targets, label });
    const batches = new Batches(labels.length, batch_size, plan.seed);

    let [step, loss] = [0, 0];
    while (step < plan.last && !isStopped()) {
      loss = await engine.train([await split.batch(batches.indices(step + 1))], rateAt(plan, step + 1), step + 1);
      step++;
      if (!Number.isFinite(loss)) {
        this._head = null;
        throw new FormatError(`update ${step}: the loss is ${general(loss)}: choose a smaller learning rate`);
      }
      onProgress({ step, last: plan.last, loss });
      await platform.between();
    }
    if (!step) {
      this._head = null;
      return null;
    }
    const run = { id: '', package: files.digest, plan: recordOf(plan) };
    const { parameters, buffers, states } = engine;
    const state = { step, parameters, buffers, states, run, optimizer: model.optimizer.name };
    return { step, loss, checkpoint: await writeCheckpoint(state, model, { classes: JSON.stringify(names) }) };
  }

  /**
   * Recognises with a head that was taught before.
   * @param {Uint8Array} checkpoint
   */
  async restore(checkpoint) {
    const state = await readCheckpoint('the head', checkpoint, this._parts.model);
    this._restored(state, this._parts.model.recipe.batch_size);
  }

  /**
   * @param {Blob | ImageBitmap} picture
   * @param {number} classes of the outputs, so many are taught: others are left out
   * @returns {Promise<{probabilities: number[], thumbnail: Blob}>}
   */
  async recognise(picture, classes) {
    const { model, shape } = this._parts;
    if (!this._head) throw new FormatError('nothing was taught yet');
    const { features, thumbnail } = await this.see(picture);
    const inputs = { type: 'float32', data: features, dims: [1, ...shape] };
    const { outputs } = await this._head.engine.evaluate({ inputs, label: UNKNOWN });
    return { probabilities: probabilitiesOf(outputs.slice(0, classes), howOf(model)), thumbnail };
  }

  /**
   * @param {Checkpoint} state
   * @param {number} batchSize
   * @returns {Engine} that is at this state: the one before, whose graphs are open, where it takes such batches
   */
  _restored(state, batchSize) {
    const { files, platform, model, threads } = this._parts;
    if (this._head?.batchSize === batchSize) {
      this._head.engine.restore(state);
      return this._head.engine;
    }
    const engine = new Engine(files, platform.Tensor, model, state, batchSize, threads);
    this._head = { engine, batchSize };
    return engine;
  }
}
