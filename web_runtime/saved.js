// The checkpoints of a training: which are there, and which of them go.

import { trainedName, writeCheckpoint } from './checkpoint.js';

/** @typedef {import('./checkpoint.js').Checkpoint} Checkpoint */
/** @typedef {import('./metrics.js').Line} Line */

/**
 * Writes checkpoints into the output folder and records them. An automatic one goes when the next one is there. Of the
 * others all stay, or the newest `keep` and the best one.
 */
export class Saved {
  /**
   * @param {import('./platform.js').Output} output
   * @param {import('./model.js').Model} model
   * @param {number | null} keep
   * @param {import('./standing.js').Standing} standing says which is best
   * @param {import('./metrics.js').Metrics} metrics
   */
  constructor(output, model, keep, standing, metrics) {
    this._output = output;
    this._model = model;
    this._keep = keep;
    this._standing = standing;
    this._metrics = metrics;
    /** @type {Map<number, boolean>} by step whether the next checkpoint takes its place */
    this._steps = new Map();
  }

  /**
   * Takes those that a training that goes on has left.
   * @param {readonly Line[]} records
   */
  async find(records) {
    const names = new Set(await this._output.names());
    for (const { event, step, file, automatic } of records) {
      if (event === 'checkpoint' && names.has(file)) this._steps.set(step, Boolean(automatic));
    }
  }

  /** Name of the newest. */
  get last() {
    return this._steps.size ? this._name(Math.max(...this._steps.keys())) : null;
  }

  /** Name of the best of those that stay and were evaluated. */
  get best() {
    const step = this._best();
    return step === null ? null : this._name(step);
  }

  /**
   * Writes a checkpoint, unless it is there, and removes those that do not stay.
   * @param {Checkpoint} checkpoint
   * @param {boolean} automatic
   */
  async add(checkpoint, automatic) {
    const { step } = checkpoint;
    if (this._steps.get(step) === false) return;
    // First what leads to it: a checkpoint without its records could not be gone on from.
    await this._metrics.sync();
    const name = this._name(step);
    if (!this._steps.has(step)) await this._output.write(name, await writeCheckpoint(checkpoint, this._model));
    this._metrics.record('checkpoint', { step, file: name, automatic });
    await this._metrics.sync();
    this._steps.set(step, automatic);
    await this._remove();
  }

  /**
   * Removes the checkpoint of a step that turned out to be worth nothing, if there is one.
   * @param {number} step
   */
  async discard(step) {
    if (this._steps.delete(step)) await this._output.remove(this._name(step));
  }

  async _remove() {
    const newestFirst = [...this._steps.keys()].sort((one, other) => other - one);
    const chosen = newestFirst.filter((step) => !this._steps.get(step));
    const stay = new Set([newestFirst[0], ...chosen.slice(0, this._keep ?? chosen.length), this._best()]);
    for (const step of newestFirst) {
      if (stay.has(step)) continue;
      await this._output.remove(this._name(step));
      this._steps.delete(step);
    }
  }

  _best() {
    return this._standing.bestOf([...this._steps].filter(([, automatic]) => !automatic).map(([step]) => step));
  }

  /** @param {number} step */
  _name(step) {
    return trainedName(this._model, step);
  }
}
