// What an interrupted training goes on from: its newest whole checkpoint, and what it had recorded until then.

import { readCheckpoint, stepIn, untrainedName } from './checkpoint.js';
import { FormatError } from './errors.js';
import { lastStart, readRecords, scoreIn, until } from './metrics.js';

/** @typedef {import('./checkpoint.js').Checkpoint} Checkpoint */
/** @typedef {import('./metrics.js').Line} Line */
/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./platform.js').Platform} Platform */

/** What a training's lines and records sum up over its steps. */
export class Progress {
  constructor() {
    this.leastLoss = Infinity;
    /** @type {Map<string, number>} of all reports and evaluations so far, by split */
    this.bestScores = new Map();
    /** @type {number[]} of the steps of the epoch that has begun */
    this.epochLosses = [];
    /** @type {number | null} score on the test images after the last step, where they were evaluated then */
    this.reached = null;
    /** Evaluations since the best one of those that steer the training. */
    this.sinceBest = 0;
  }

  /**
   * Takes the score of a report or an evaluation.
   * @param {string} split
   * @param {number} score
   * @returns {number} the best one of the split
   */
  found(split, score) {
    const best = Math.max(score, this.bestScores.get(split) ?? score);
    this.bestScores.set(split, best);
    return best;
  }
}

/**
 * @param {Platform} platform
 * @param {Checkpoint} untrained what the package's model starts from
 * @param {Model} model
 * @param {string} digest of the package
 * @returns {Promise<{start: Checkpoint, file: string}>}
 */
export async function interrupted({ output, say }, untrained, model, digest) {
  const records = await readRecords(output);
  const began = lastStart(records);
  if (!began) throw new FormatError('there is no training to go on with: start one without --resume');
  if (began.package !== digest) {
    throw new FormatError(
      'the training was started with another model or other data than this package has: package them as they were',
    );
  }
  const last = records[records.length - 1];
  if (last.event === 'diverged') throw new FormatError(`the training diverged, and would again: ${last.advice}`);
  const names = (await output.names()).filter((name) => stepIn(model, name) !== null);
  names.sort((one, other) => Number(stepIn(model, other)) - Number(stepIn(model, one)));
  for (const name of names) {
    try {
      const start = await readCheckpoint(name, /** @type {Uint8Array} */ (await output.read(name)), model);
      if (start.run.id === began.run) return { start, file: name };
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      say(`warning: ${error.message}; going on from the one before`);
    }
  }
  return beginning(output, began, untrained, model);
}

/**
 * @param {import('./platform.js').Output} output
 * @param {Line} began
 * @param {Checkpoint} untrained
 * @param {Model} model
 */
async function beginning(output, began, untrained, model) {
  const { event: _event, model: _model, digest: _digest, engine: _engine, time: _time, run, package: digest, file, ...plan } = began;
  const name = String(file).split('/').pop() ?? '';
  let first = untrained;
  if (began.first !== 1 || name !== untrainedName(model)) {
    const content = await output.read(name);
    if (!content) throw new FormatError(`the training started from ${name}, which is no longer there: start it again`);
    first = await readCheckpoint(name, content, model);
  }
  return { start: { ...first, run: { id: run, package: digest, plan } }, file };
}

/**
 * What stays recorded when a training goes on from `start`: nothing, where that is of another training.
 * @param {import('./platform.js').Output} output
 * @param {Checkpoint} start
 * @param {string} file
 */
export async function keptRecords(output, start, file) {
  const kept = until(await readRecords(output), start.run.id, start.step);
  const last = kept[kept.length - 1];
  if (last && last.event !== 'checkpoint' && (await output.names()).includes(file)) {
    // Ended between the checkpoint and its record.
    kept.push({ event: 'checkpoint', step: start.step, file });
  }
  return kept;
}

/**
 * What the records until an update sum up to.
 * @param {readonly Line[]} records
 * @param {number} step
 * @param {number} stepsPerEpoch
 * @param {number} sinceBest
 */
export function progressOf(records, step, stepsPerEpoch, sinceBest) {
  const progress = new Progress();
  /** @type {Map<number, number>} */
  const losses = new Map();
  for (const record of records) {
    const split = record.split ?? 'test';
    if (record.event === 'step') losses.set(record.step, record.loss);
    if (record.event === 'report' || record.event === 'evaluation') progress.found(split, scoreIn(record));
    if (record.event === 'evaluation' && split === 'test') {
      progress.reached = record.step === step ? scoreIn(record) : null;
    }
  }
  for (const loss of losses.values()) progress.leastLoss = Math.min(progress.leastLoss, loss);
  for (let number = step - (step % stepsPerEpoch) + 1; number <= step; number++) {
    const loss = losses.get(number);
    if (loss !== undefined) progress.epochLosses.push(loss);
  }
  progress.sinceBest = sinceBest;
  return progress;
}
