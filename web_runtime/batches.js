// The order in which samples are trained on.

import { Random } from './random.js';

/** A seeded shuffle per epoch, cut into batches; what an epoch leaves over is left out of that epoch. */
export class Batches {
  /**
   * @param {number} samples
   * @param {number} batchSize
   * @param {number | bigint} seed
   */
  constructor(samples, batchSize, seed) {
    this._samples = samples;
    this._batchSize = batchSize;
    this._seed = seed;
    this._epoch = -1;
    /** @type {Uint32Array} */
    this._order = new Uint32Array(0);
    this.stepsPerEpoch = Math.floor(samples / batchSize);
  }

  /**
   * @param {number} step number of an update, from 1
   * @returns {Uint32Array} the samples that it is made with
   */
  indices(step) {
    const epoch = this.epoch(step);
    if (epoch !== this._epoch) {
      this._order = new Random([this._seed, epoch]).permutation(this._samples);
      this._epoch = epoch;
    }
    const first = ((step - 1) % this.stepsPerEpoch) * this._batchSize;
    return this._order.slice(first, first + this._batchSize);
  }

  /** @param {number} step number of an update, from 1 */
  epoch(step) {
    return Math.floor((step - 1) / this.stepsPerEpoch);
  }
}
