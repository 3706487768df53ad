// The lowered graphs in ONNX Runtime: the flat vectors of a training, and what updates and evaluates them.

import { partOf, vectorSize } from './model.js';
import { stacked } from './dataset.js';

/** @typedef {import('./platform.js').Platform} Platform */
/** @typedef {import('./platform.js').Session} Session */
/** @typedef {import('./platform.js').Values} Values */
/** @typedef {import('./platform.js').SessionOptions} SessionOptions */
/** @typedef {import('./dataset.js').Batch} Batch */
/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./package.js').Package} Package */

// Elements of which a sum of squares is taken in float32; the parts' sums are added up in double precision.
const NORM_PART = 2 ** 16;

/**
 * Options of every session.
 * @param {number} threads
 * @returns {SessionOptions}
 */
export function sessionOptions(threads) {
  // What is extra: threads that sleep between runs, and int8 sums that cannot overflow.
  const session = { force_spinning_stop: '1', x64quantprecision: '1' };
  return { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3, extra: { session } };
}

/** A model that can be trained and evaluated. */
export class Engine {
  /**
   * @param {Package} files
   * @param {Platform['Tensor']} Tensor
   * @param {Model} model
   * @param {import('./checkpoint.js').Checkpoint} start whose vectors become the engine's
   * @param {number} batchSize
   * @param {number} threads
   */
  constructor(files, Tensor, model, start, batchSize, threads) {
    this._files = files;
    this._Tensor = Tensor;
    this._model = model;
    this._batchSize = batchSize;
    this._threads = threads;
    this.parameters = start.parameters;
    this.buffers = start.buffers;
    const size = vectorSize(model.parameters);
    this.states = Object.fromEntries(
      model.optimizer.states.map((name) => [name, start.states[name] ?? new Float32Array(size)]),
    );
    this._gradient = new Float32Array(size);
    /** @type {Map<string, Promise<Session>>} */
    this._sessions = new Map();
    this._named = {
      ...this._tensors('parameter/', this.parameters, model.parameters),
      ...this._tensors('buffer/', this.buffers, model.buffers),
    };
  }

  /**
   * Makes one update with the mean gradient of batches of the batch size.
   * @param {readonly Batch[]} batches
   * @param {number} rate
   * @param {number} step number of the update, from 1
   * @returns {Promise<number>} the mean loss before it
   */
  async train(batches, rate, step) {
    const losses = [];
    for (let number = 0; number < batches.length; number++) {
      // A number of its own for each batch: with the update's, all would drop the same elements.
      losses.push(await this._addGradient(batches[number], step * batches.length + number, number === 0));
    }
    await this._update(rate, step, await this._share(1 / batches.length));
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  }

  /**
   * Makes an update with each of several batches of the batch size, in one call of the runtime.
   * @param {readonly Batch[]} batches
   * @param {readonly number[]} rates
   * @param {number} first number of the first update
   * @returns {Promise<number[]>} their losses
   */
  async trainSteps(batches, rates, first) {
    const { inputs, label } = stacked(batches);
    const vectors = this._vectors();
    const outputs = ['loss', ...Object.keys(vectors).map((name) => `${name}_out`)];
    const result = await this._run('sink_step', outputs, {
      [this._batchInput]: this._tensor(inputs),
      label: this._tensor(label),
      learning_rate: this._floats(Float32Array.from(rates)),
      step: this._whole(first),
      ...this._flat(vectors),
      ...this._proximal({ start: this._floats(this.parameters) }),
    });
    for (const [name, vector] of Object.entries(vectors)) vector.set(result[`${name}_out`].data);
    return Array.from(result.loss.data);
  }

  /**
   * @param {Batch} batch of any size
   * @returns {Promise<{loss: number, outputs: Float32Array}>} the mean loss, and the outputs one after another
   */
  async evaluate({ inputs, label }) {
    const feeds = { [this._batchInput]: this._tensor(inputs), label: this._tensor(label), ...this._named };
    const { loss, logits } = await this._run('eval_step', ['loss', 'logits'], feeds);
    return { loss: loss.data[0], outputs: logits.data };
  }

  /**
   * Goes on with another state of the model, which is copied.
   * @param {import('./checkpoint.js').Checkpoint} state
   */
  restore({ parameters, buffers, states }) {
    this.parameters.set(parameters);
    this.buffers.set(buffers);
    for (const [name, vector] of Object.entries(this.states)) {
      if (states[name]) vector.set(states[name]);
      else vector.fill(0);
    }
  }

  get _batchInput() {
    return this._model.features ? 'features' : 'image';
  }

  /**
   * The flat vectors that an update changes, by the names of the steps' inputs.
   * @returns {Record<string, Float32Array>}
   */
  _vectors() {
    return { parameters: this.parameters, ...this.states, ...(this.buffers.length && { buffers: this.buffers }) };
  }

  /**
   * @param {Batch} batch
   * @param {number} step from which dropout draws
   * @param {boolean} first of an update
   * @returns {Promise<number>} the loss
   */
  async _addGradient({ inputs, label }, step, first) {
    const { parameters, buffers } = this._model;
    const names = [...parameters.map(({ name }) => `gradient/${name}`), ...buffers.map(({ name }) => `renewed/${name}`)];
    const result = await this._run('gradient_step', ['loss', ...names], {
      [this._batchInput]: this._tensor(inputs),
      label: this._tensor(label),
      step: this._whole(step),
      ...this._named,
      ...this._proximal(this._tensors('start/', this.parameters, parameters)),
    });
    for (const place of parameters) {
      const part = partOf(this._gradient, place);
      const { data } = result[`gradient/${place.name}`];
      if (first) part.set(data);
      else for (let element = 0; element < part.length; element++) part[element] += data[element];
    }
    for (const place of buffers) partOf(this.buffers, place).set(result[`renewed/${place.name}`].data);
    return result.loss.data[0];
  }

  /**
   * @param {number} rate
   * @param {number} step
   * @param {number} scale that the gradient is multiplied by
   */
  async _update(rate, step, scale) {
    const vectors = { parameters: this.parameters, ...this.states };
    const result = await this._run('update_step', Object.keys(vectors).map((name) => `${name}_out`), {
      gradient: this._floats(this._gradient),
      learning_rate: this._number(rate),
      scale: this._number(scale),
      step: this._whole(step),
      ...this._flat(vectors),
    });
    for (const [name, vector] of Object.entries(vectors)) vector.set(result[`${name}_out`].data);
  }

  /**
   * What the gradient is multiplied by: `share`, or less where the gradient would be longer than the model allows.
   * @param {number} share
   */
  async _share(share) {
    const most = this._model.clip_norm;
    if (most === null) return share;
    let sum = 0;
    for (let start = 0; start < this._gradient.length; start += NORM_PART) {
      const gradient = this._floats(this._gradient.subarray(start, start + NORM_PART));
      sum += (await this._run('norm_step', ['square_sum'], { gradient })).square_sum.data[0];
    }
    // As torch.nn.utils.clip_grad_norm_.
    return share * Math.min(1, most / (share * Math.sqrt(sum) + 1e-6));
  }

  /**
   * @param {string} step name of a graph; it is opened when it is first needed
   * @param {readonly string[]} outputs
   * @param {object} feeds
   */
  async _run(step, outputs, feeds) {
    let session = this._sessions.get(step);
    if (!session) {
      const options = sessionOptions(this._threads);
      // A fixed batch lets the runtime fold every shape computation.
      if (['gradient_step', 'sink_step'].includes(step)) options.freeDimensionOverrides = { N: this._batchSize };
      session = this._files.session(`model/${step}.onnx`, options);
      this._sessions.set(step, session);
    }
    return (await session).run(feeds, outputs);
  }

  /**
   * FedProx's term belongs to a fleet: here it has no weight.
   * @template T
   * @param {T} start
   */
  _proximal(start) {
    return this._model.proximal ? { ...start, proximal_mu: this._number(0) } : {};
  }

  /** @param {Values} values */
  _tensor({ type, data, dims }) {
    return new this._Tensor(type, data, dims);
  }

  /** @param {number} value */
  _whole(value) {
    return new this._Tensor('int64', BigInt64Array.of(BigInt(value)), []);
  }

  /** @param {number} value */
  _number(value) {
    return new this._Tensor('float32', Float32Array.of(value), []);
  }

  /** @param {Float32Array} vector */
  _floats(vector) {
    return new this._Tensor('float32', vector, [vector.length]);
  }

  /** @param {Record<string, Float32Array>} vectors */
  _flat(vectors) {
    return Object.fromEntries(Object.entries(vectors).map(([name, vector]) => [name, this._floats(vector)]));
  }

  /**
   * The tensors of a flat vector, in its memory.
   * @param {string} prefix
   * @param {Float32Array} vector
   * @param {readonly import('./model.js').TensorPlace[]} places
   */
  _tensors(prefix, vector, places) {
    return Object.fromEntries(
      places.map((place) => [
        `${prefix}${place.name}`,
        new this._Tensor('float32', partOf(vector, place), [...place.shape]),
      ]),
    );
  }
}
