// The built-in training loop: updates, reports, evaluations, and when it stops before its last step.

import { cycleLine, epochLine, evaluationLine, general } from './lines.js';
import { rounded } from './metrics.js';

/** @typedef {import('./run.js').TrainingRun} TrainingRun */

// As in device_runtime/training.py: the accuracy in a report is that of ten batches.
const REPORT_BATCHES = 10;

/** Trains as the options say. */
export class BuiltInLoop {
  /**
   * @param {import('./resume.js').Progress} progress what was recorded of the training that goes on here
   * @param {() => number} now milliseconds
   */
  constructor(progress, now) {
    this._progress = progress;
    this._now = now;
    this._epochStarted = now();
  }

  /** @param {TrainingRun} run */
  async train(run) {
    this._epochStarted = this._now();
    let over = this._whyOver(run);
    if (over) run.log(`step ${run.step} had reached ${over} already: nothing is trained`);
    while (!over && (await run.goesOn())) {
      const [first, last] = [run.step + 1, this._nextPause(run)];
      const updates = [];
      for (let step = first; step <= last; step++) updates.push(await run.batch(step));
      const losses = await run.train(...updates);
      for (let place = 0; place < losses.length; place++) await this._afterStep(run, first + place, losses[place]);
      over = await this._afterPause(run);
    }
  }

  /**
   * The next step after which the state of the training is asked for, or the call is full.
   * @param {TrainingRun} run
   */
  _nextPause({ options: plan, step }) {
    // Calls end at multiples of their size, so that they are the same ones in a training that goes on in between.
    const pauses = [plan.sink_size, plan.save_every ?? 0, plan.evaluate_every];
    // A report of every step says its loss alone.
    if (plan.report_every > 1) pauses.push(plan.report_every);
    if (plan.by_epochs) pauses.push(plan.steps_per_epoch);
    return Math.min(plan.last, ...pauses.filter(Boolean).map((every) => Math.ceil((step + 1) / every) * every));
  }

  /**
   * Takes a loss, and reports where the plan says so.
   * @param {TrainingRun} run
   * @param {number} step
   * @param {number} loss
   */
  async _afterStep(run, step, loss) {
    const [plan, progress] = [run.options, this._progress];
    progress.leastLoss = Math.min(progress.leastLoss, loss);
    if (plan.report_every && step % plan.report_every === 0) {
      run.log(cycleLine(step, loss, progress.leastLoss, plan.report_every === 1 ? null : await this._sampledBest(run)));
    }
    if (plan.by_epochs) progress.epochLosses.push(loss);
  }

  /**
   * Evaluates where the plan says so.
   * @param {TrainingRun} run
   * @returns {Promise<string>} why the training is over, empty where it is not
   */
  async _afterPause(run) {
    const plan = run.options;
    const epochEnds = plan.by_epochs && run.step % plan.steps_per_epoch === 0;
    if (!epochEnds && !(plan.evaluate_every && run.step % plan.evaluate_every === 0)) return '';
    const seconds = (this._now() - this._epochStarted) / 1000;
    const found = await this._evaluated(run);
    if (found.split !== 'test' && plan.target_accuracy) this._sayEvaluated(run, await this._evaluated(run, 'test'));
    if (epochEnds) this._finishEpoch(run, found, seconds);
    else this._sayEvaluated(run, found);
    if (plan.evaluate_every || (plan.best && found.sinceBest === 0)) await run.save();
    const over = this._whyOver(run);
    if (over) {
      run.log(`stopped after step ${run.step}: ${over}`);
      run.record('stop', { reason: over });
    }
    return over;
  }

  /**
   * The best score on some test samples so far.
   * @param {TrainingRun} run
   */
  async _sampledBest(run) {
    const { measure, score } = await run.evaluate('test', REPORT_BATCHES * run.options.batch_size);
    const best = this._progress.found('test', score);
    run.record('report', { measure, [measure]: score, [`max_${measure}`]: best });
    return { score: best, measure };
  }

  /** @param {TrainingRun} run @param {string} [split] */
  async _evaluated(run, split) {
    const found = await run.evaluate(split);
    this._progress.found(found.split, found.score);
    if (found.split === 'test') this._progress.reached = found.score;
    if (split === undefined) this._progress.sinceBest = found.sinceBest;
    return found;
  }

  /** @param {TrainingRun} run @param {{split: string, score: number, measure: string}} found */
  _sayEvaluated(run, { split, score, measure }) {
    run.log(evaluationLine(split, score, this._progress.bestScores.get(split) ?? score, measure));
  }

  /** @param {TrainingRun} run @param {{split: string, score: number, measure: string}} found @param {number} seconds */
  _finishEpoch(run, { split, score, measure }, seconds) {
    const losses = this._progress.epochLosses.splice(0);
    const loss = losses.reduce((sum, each) => sum + each, 0) / losses.length;
    const epoch = run.step / run.options.steps_per_epoch;
    run.log(epochLine(epoch, loss, split, score, seconds, measure));
    run.record('epoch', { epoch, loss, split, [measure]: score, seconds: rounded(seconds, 3) });
    this._epochStarted = this._now();
  }

  /**
   * Why the training is over after what was evaluated last; empty where it is not.
   * @param {TrainingRun} run
   */
  _whyOver({ options: plan }) {
    const { reached, sinceBest } = this._progress;
    if (plan.target_accuracy && reached !== null && reached >= plan.target_accuracy) {
      return `--target-accuracy ${general(plan.target_accuracy)}`;
    }
    return plan.patience > 0 && plan.patience <= sinceBest ? `--patience ${plan.patience}` : '';
  }
}
