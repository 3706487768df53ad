// What a training loop is written on: the built-in one, and one of your own.

import { Batches } from './batches.js';
import { FormatError } from './errors.js';
import { evaluate } from './evaluation.js';
import { general } from './lines.js';
import { rounded } from './metrics.js';
import { rateAt } from './plan.js';
import { recordEvaluation } from './recording.js';

/** @typedef {import('./dataset.js').Batch} Batch */
/** @typedef {import('./dataset.js').Split} Split */
/** @typedef {import('./evaluation.js').Evaluation} Evaluation */
/** @typedef {import('./checkpoint.js').Checkpoint} Checkpoint */

/**
 * What a training is made of.
 * @typedef {object} Parts
 * @property {import('./platform.js').Platform} platform
 * @property {import('./engine.js').Engine} engine
 * @property {import('./model.js').Model} model
 * @property {import('./inputs.js').Inputs} inputs
 * @property {import('./plan.js').Plan} plan
 * @property {import('./saved.js').Saved} saved
 * @property {import('./standing.js').Standing} standing
 * @property {import('./metrics.js').Metrics} metrics
 * @property {import('./checkpoint.js').Run} run
 */

// Where nothing else is asked for, so much of a training is lost at most when it is killed.
const AUTOMATIC_MS = 10_000;

/** A training, as its loop sees it. */
export class TrainingRun {
  /** @param {Parts} parts */
  constructor(parts) {
    this._parts = parts;
    const { plan, inputs, platform } = parts;
    this._batches = new Batches(inputs.train(0).length, plan.batch_size * plan.accumulate, plan.seed);
    this._step = this._lookedAt = plan.first - 1;
    this._savedAt = platform.now();
    // What the next update took until now.
    this._ms = 0;
  }

  /** How many updates were made. */
  get step() {
    return this._step;
  }

  /** What was asked for, and what follows from it. */
  get options() {
    return this._parts.plan;
  }

  /**
   * Whether there are updates to make. Here a training waits, and checkpoints are saved that `save_every` or nobody
   * asked for: a loop begins with it.
   */
  async goesOn() {
    const { plan, platform } = this._parts;
    const step = this._step;
    if (step > this._lookedAt) {
      if (plan.save_every) {
        if (Math.floor(step / plan.save_every) > Math.floor(this._lookedAt / plan.save_every)) await this.save();
      } else if (plan.save_every === null && platform.now() - this._savedAt > AUTOMATIC_MS) {
        await this._save(true);
      }
    }
    this._lookedAt = step;
    if (step < plan.last) await platform.between();
    return step < plan.last;
  }

  /**
   * What an update is made with: `accumulate` batches, the same whenever they are asked for.
   * @param {number} step its number; the next one's
   * @returns {Promise<Batch[]>}
   */
  async batch(step = this._step + 1) {
    const started = this._parts.platform.now();
    const { batch_size: size, accumulate } = this._parts.plan;
    const [split, indices] = [this._parts.inputs.train(this._batches.epoch(step)), this._batches.indices(step)];
    const batches = [];
    for (let part = 0; part < accumulate; part++) {
      batches.push(await split.batch(indices.subarray(part * size, (part + 1) * size)));
    }
    this._ms += this._parts.platform.now() - started;
    return batches;
  }

  /**
   * Makes an update with each of what `batch` gave, and records it; several of one batch each are one call of the runtime.
   * @param {readonly (readonly Batch[])[]} updates
   * @returns {Promise<number[]>} the loss of each before it
   */
  async train(...updates) {
    const { engine, plan, metrics, platform } = this._parts;
    const started = platform.now();
    const first = this._step + 1;
    const rates = updates.map((_, place) => rateAt(plan, first + place));
    /** @type {number[]} */
    let losses = [];
    if (updates.length > 1 && updates.every(({ length }) => length === 1)) {
      losses = await engine.trainSteps(updates.map(([batch]) => batch), rates, first);
    } else {
      for (let place = 0; place < updates.length; place++) {
        losses.push(await engine.train(updates[place], rates[place], first + place));
      }
    }
    const seconds = rounded((this._ms + platform.now() - started) / 1000 / losses.length, 6);
    this._ms = 0;
    for (let place = 0; place < losses.length; place++) {
      this._step = first + place;
      if (!Number.isFinite(losses[place])) await this._diverge(this._step, `the loss is ${general(losses[place])}`);
      metrics.record('step', { step: this._step, loss: losses[place], learning_rate: rates[place], seconds });
    }
    return losses;
  }

  /**
   * Score and loss on a split as the model is now.
   * @param {string} [split] its name; without it, the one whose evaluations choose the best checkpoint
   * @param {number} [most] so many samples of it alone, spread over it; of that nothing is recorded
   * @returns {Promise<Evaluation & {split: string, sinceBest: number}>}
   */
  async evaluate(split, most) {
    const { standing } = this._parts;
    const name = split ?? standing.split;
    if (most !== undefined) {
      await this._finite();
      return { ...(await this._evaluated(name, most)), split: name, sinceBest: 0 };
    }
    const found = await this._evaluated(name);
    await this.checkEvaluated(found, this._step, name);
    recordEvaluation(this._parts.metrics, found, this._step, name);
    if (name !== standing.split) return { ...found, split: name, sinceBest: 0 };
    standing.note(this._step, found.score);
    return { ...found, split: name, sinceBest: standing.sinceBest };
  }

  /** Saves a checkpoint of the state as it is now, from which `resume` may go on. */
  async save() {
    await this._save(false);
  }

  /**
   * Prints a line at once.
   * @param {string} line
   */
  log(line) {
    this._parts.platform.say(line);
  }

  /**
   * Adds a line to metrics.jsonl.
   * @param {string} event
   * @param {{[name: string]: string | number | boolean | null}} fields
   */
  record(event, fields) {
    this._parts.metrics.record(event, { step: this._step, ...fields });
  }

  /**
   * Ends the training where a loss on a split is no finite number.
   * @param {Evaluation} found
   * @param {number} step
   * @param {string} split
   */
  async checkEvaluated(found, step, split) {
    if (Number.isFinite(found.loss)) return;
    await this._parts.saved.discard(step);
    await this._diverge(step, `the loss on the ${split} images is ${general(found.loss)}`);
  }

  /** @param {string} name @param {number} [most] */
  _evaluated(name, most) {
    const { engine, inputs, plan, model, platform } = this._parts;
    const split = inputs.splits.get(name);
    if (!split?.length) throw new FormatError(`the dataset has no split ${name}: it has ${[...inputs.splits.keys()].join(', ')}`);
    return evaluate(engine, split, plan.batch_size, model, platform.now, most);
  }

  /** @param {boolean} automatic the next checkpoint takes its place */
  async _save(automatic) {
    const { saved, engine, run, model } = this._parts;
    await this._finite();
    const { parameters, buffers, states } = engine;
    await saved.add({ step: this._step, parameters, buffers, states, run, optimizer: model.optimizer.name }, automatic);
    this._savedAt = this._parts.platform.now();
  }

  /** Ends the training where a number of its state is not finite. */
  async _finite() {
    const { parameters, buffers, states } = this._parts.engine;
    /** @type {[string, Float32Array][]} */
    const named = [['a weight', parameters], ['a running statistic', buffers]];
    for (const [name, vector] of Object.entries(states)) named.push([`${name} of the optimizer`, vector]);
    for (const [name, vector] of named) {
      if (!vector.every(Number.isFinite)) await this._diverge(this._step, `${name} is no finite number`);
    }
  }

  /**
   * Ends the training: what is computed from here on is worth nothing.
   * @param {number} step
   * @param {string} what
   * @returns {Promise<never>}
   */
  async _diverge(step, what) {
    const { plan, model, saved, metrics } = this._parts;
    const advice =
      model.buffers.length && plan.batch_size === 1
        ? 'batch normalisation has no variance in a batch of one: give a larger --batch-size'
        : `give a smaller --learning-rate than ${general(plan.learning_rate)}, or package with --clip-norm`;
    const kept = saved.last ? `the last good checkpoint is ${saved.last}` : 'no checkpoint was saved before';
    metrics.record('diverged', { step, what, advice, file: saved.last });
    await metrics.sync();
    throw new FormatError(`step ${step}: ${what}: training diverged; ${kept}: ${advice}`);
  }
}
