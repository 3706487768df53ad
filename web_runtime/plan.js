// How long and how to train: what the user asks for, or else what the checkpoint's training did, or the recipe says.

import { Batches } from './batches.js';
import { FormatError } from './errors.js';
import { OPTIONS } from './options.js';
import { learningRateAt } from './schedules.js';

/** @typedef {import('./checkpoint.js').Checkpoint} Checkpoint */
/** @typedef {import('./options.js').Options} Options */

/**
 * In the names of device_runtime/plan.py, with which it is recorded; counts are in steps.
 * @typedef {object} Plan
 * @property {number} first number of the first update, from 1
 * @property {number} last
 * @property {number} batch_size
 * @property {number} accumulate batches whose mean gradient makes one update
 * @property {number} sink_size updates of one call of the runtime
 * @property {number} seed
 * @property {number} learning_rate
 * @property {string} schedule
 * @property {number} schedule_first
 * @property {number} schedule_last
 * @property {number} warmup
 * @property {number} report_every 0 for no reports within an epoch
 * @property {number | null} save_every 0 for never; null: whenever some seconds have passed, only the last kept
 * @property {number | null} keep of the saved checkpoints so many, and the best one; null for all
 * @property {number} evaluate_every 0 for never
 * @property {number} patience 0 for never
 * @property {boolean} best
 * @property {number | null} target_accuracy
 * @property {boolean} by_epochs print a line per epoch
 * @property {number} steps_per_epoch
 * @property {readonly string[]} augment
 * @property {number} threads
 * @property {boolean} no_cache
 */

/** @typedef {Pick<Plan, 'schedule' | 'schedule_first' | 'schedule_last' | 'warmup'>} Schedule */

/**
 * @param {Options} options
 * @param {import('./model.js').Model} model
 * @param {Checkpoint} start
 * @param {number} images of the training split
 * @param {number} threads where nobody says how many
 * @returns {Plan}
 */
export function makePlan(options, model, start, images, threads) {
  const { recipe } = model;
  const before = planned(start);
  /** @param {keyof Options} name @param {any} otherwise */
  const chosen = (name, otherwise) => options[name] ?? (name in before ? before[name] : otherwise);

  const [batchSize, accumulate] = [chosen('batch_size', recipe.batch_size), chosen('accumulate', 1)];
  const [seed, sinkSize] = [chosen('seed', 1), chosen('sink_size', 1)];
  if (accumulate > 1 && sinkSize > 1) {
    throw new FormatError('the training before had the other of --accumulate and --sink-size: give a 1 for it, too');
  }
  const { stepsPerEpoch } = new Batches(images, batchSize * accumulate, seed);
  const last = lastOf(options, recipe.cycles, start, before, stepsPerEpoch);
  const trains = last > start.step;
  if (trains && !stepsPerEpoch) {
    const size = batchSize * accumulate;
    throw new FormatError(`the training split has ${images} images, a step takes ${size}: give a smaller --batch-size`);
  }
  const byEpochs = options.epochs !== undefined || (options.cycles === undefined && Boolean(before.by_epochs));
  const [patience, best] = [chosen('patience', 0), Boolean(options.best || before.best)];
  const target = options.target_accuracy || before.target_accuracy || recipe.target_accuracy;
  // An epoch ends with an evaluation; others are made only where they are asked for.
  let evaluateEvery = chosen('evaluate_every', byEpochs ? 0 : recipe.evaluate_every);
  if ((target || patience || best) && !evaluateEvery && !byEpochs) evaluateEvery = recipe.report_every;
  if (trains && (patience || best) && !evaluateEvery && !byEpochs) {
    throw new FormatError('--patience and --best go by evaluations, and there would be none: give --evaluate-every');
  }
  return {
    first: start.step + 1,
    last,
    batch_size: batchSize,
    accumulate,
    sink_size: sinkSize,
    seed,
    learning_rate: chosen('learning_rate', recipe.learning_rate),
    ...scheduleOf(options, start, before, last),
    report_every: byEpochs ? 0 : recipe.report_every,
    save_every: chosen('save_every', null),
    keep: chosen('keep', null),
    evaluate_every: evaluateEvery,
    patience,
    best,
    target_accuracy: target ?? null,
    by_epochs: byEpochs,
    steps_per_epoch: stepsPerEpoch,
    augment: options.augment ?? String(before.augment ?? '').split(',').filter(Boolean),
    threads: chosen('threads', threads),
    no_cache: Boolean(options.no_cache || before.no_cache),
  };
}

/**
 * The learning rate of an update.
 * @param {Plan} plan
 * @param {number} step
 */
export function rateAt(plan, step) {
  return learningRateAt(step - plan.schedule_first + 1, {
    base: plan.learning_rate,
    schedule: plan.schedule,
    cycles: plan.schedule_last - plan.schedule_first + 1,
    warmup: plan.warmup,
  });
}

/**
 * As it is recorded in metrics and checkpoints; of what this runner has no option for, as a runner that was not asked.
 * @param {Plan} plan
 */
export function recordOf(plan) {
  const conditions = { while_charging: false, between: null, min_battery: null, max_battery_temp: null };
  return { ...plan, augment: plan.augment.join(','), loop: '', proximal_mu: 0, ...conditions };
}

/** @param {Plan} plan whether the first update is beyond a schedule that the training before had */
export const scheduleIsOver = (plan) => plan.schedule !== 'constant' && plan.first > plan.schedule_last;

/**
 * The plan of the training that a checkpoint is of, empty for none: a file may say anything.
 * @param {Checkpoint} start
 * @returns {Record<string, any>}
 */
function planned({ run: { plan } }) {
  const counts = ['first', 'last', 'schedule_first', 'schedule_last', 'report_every', 'steps_per_epoch'];
  const wrong = Object.entries(plan).filter(([name, value]) => {
    if (counts.includes(name)) return !Number.isSafeInteger(value) || Math.abs(value) > 2 ** 52;
    return name in OPTIONS && value !== null && typeof value !== 'boolean' && OPTIONS[name][0](String(value)) === undefined;
  });
  const schedule = ['schedule', 'schedule_first', 'schedule_last', 'warmup'];
  if (wrong.length || (Object.keys(plan).length && !schedule.every((name) => name in plan))) {
    const what = wrong.length ? wrong.map(([name]) => name).join(', ') : 'it has no schedule';
    throw new FormatError(`the checkpoint's plan cannot be meant (${what}): go on from another one`);
  }
  const own = ['loop', 'proximal_mu', 'while_charging', 'between', 'min_battery', 'max_battery_temp'];
  const foreign = own.filter((name) => plan[name]);
  if (foreign.length) {
    throw new FormatError(`the training before had what this runner has not (${foreign.join(', ')}): go on with it in Python`);
  }
  return plan;
}

/**
 * @param {Options} options
 * @param {number} cycles
 * @param {Checkpoint} start
 * @param {Record<string, any>} before
 * @param {number} stepsPerEpoch
 * @returns {number}
 */
function lastOf(options, cycles, start, before, stepsPerEpoch) {
  const last = before.last ?? 0;
  if (options.resume) return Math.max(last, start.step);
  if (options.epochs !== undefined) return start.step + options.epochs * stepsPerEpoch;
  if (options.cycles !== undefined) return start.step + options.cycles;
  return last > start.step ? last : start.step + cycles;
}

/**
 * The schedule of the training before goes on; one that is asked for begins here.
 * @param {Options} options
 * @param {Checkpoint} start
 * @param {Record<string, any>} before
 * @param {number} last
 * @returns {Schedule}
 */
function scheduleOf(options, start, before, last) {
  if (options.schedule === undefined && options.warmup === undefined && 'schedule' in before) {
    const { schedule, schedule_first, schedule_last, warmup } = before;
    return { schedule, schedule_first, schedule_last, warmup };
  }
  const schedule = options.schedule ?? before.schedule ?? 'constant';
  return { schedule, schedule_first: start.step + 1, schedule_last: last, warmup: options.warmup ?? 0 };
}
