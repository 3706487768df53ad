// The runner: opens a package, trains if asked to, evaluates, records. What a page, a worker or Node calls.

import { readCheckpoint, untrainedName } from './checkpoint.js';
import { misfits, openDataset } from './dataset.js';
import { Engine } from './engine.js';
import { FormatError } from './errors.js';
import { evaluate, predictionsFile } from './evaluation.js';
import { openInputs, unfitChanges } from './inputs.js';
import { eachLine, general, scoreOn } from './lines.js';
import { BuiltInLoop } from './loop.js';
import { lastStart, rounded } from './metrics.js';
import { readModel } from './model.js';
import { checked } from './options.js';
import { Package } from './package.js';
import { makePlan, scheduleIsOver } from './plan.js';
import { recordEach, recordEvaluation, recorded } from './recording.js';
import { interrupted, progressOf } from './resume.js';
import { TrainingRun } from './run.js';
import { Saved } from './saved.js';
import { Standing } from './standing.js';
import { joined } from './text.js';

export { FormatError };

/** @typedef {import('./platform.js').Platform} Platform */
/** @typedef {import('./checkpoint.js').Checkpoint} Checkpoint */
/** @typedef {import('./options.js').Options} Options */
/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./plan.js').Plan} Plan */
/** @typedef {Omit<import('./run.js').Parts, 'saved' | 'standing'>} Opened */
/** @typedef {(run: TrainingRun) => Promise<void>} Loop a training loop of your own */

/**
 * How a run ended.
 * @typedef {object} Result
 * @property {number} step of the trained model
 * @property {string | null} checkpoint its file in the output folder; null where nothing was trained
 * @property {import('./evaluation.js').Evaluation} evaluation on the final split
 */

// As many as device_runtime/threads.py takes where it does not try.
const USUAL_THREADS = 2;

/**
 * Does what the options ask for.
 * @param {Platform} platform
 * @param {Options} asked
 * @param {Loop} [loop] in place of the built-in one
 * @returns {Promise<Result>}
 */
export async function train(platform, asked = {}, loop = undefined) {
  const began = platform.now();
  const options = checked(asked);
  const files = await Package.open(platform);
  const [model, dataset] = [await readModel(files), await openDataset(files)];
  const problems = [...misfits(dataset, model), ...(await unfitChanges(options.augment ?? [], dataset))];
  if (problems.length) throw new FormatError(`the dataset does not fit ${model.name}: ${problems.join('; ')}; package again`);

  const { start, file } = await startOf(platform, options, files, model);
  const threads = Math.min(USUAL_THREADS, platform.cpus);
  const images = /** @type {import('./dataset.js').Split} */ (dataset.splits.get('train')).length;
  const plan = makePlan(options, model, start, images, threads);
  const resumes = Boolean(options.resume);
  // One that was killed in its end has to come to it.
  const trains = plan.last >= plan.first || resumes;
  const inputs = await openInputs(platform, files, plan, model, dataset, trains);
  const engine = new Engine(files, platform.Tensor, model, start, plan.batch_size, plan.threads);
  if (trains) {
    checkStates(model, start, file);
    sayHow(platform, plan, start, 'threads' in start.run.plan || options.threads !== undefined);
  }
  const what = { model, start, file, plan, digest: files.digest, trains, resumes };
  const { metrics, history, run } = await recorded(platform, what);
  const parts = { platform, engine, model, inputs, plan, metrics, run };
  const { step, evaluation, checkpoint, last } = trains
    ? await trained(parts, history, resumes, loop)
    : await evaluated(parts, start.step, dataset.classes);
  platform.say(scoreOn(inputs.final, evaluation.score, evaluation.measure));
  recordEvaluation(metrics, evaluation, step, inputs.final);
  recordEach(metrics, evaluation, step, inputs.final, dataset.classes);
  metrics.record('end', { step: last, seconds: rounded((platform.now() - began) / 1000, 3) });
  await metrics.sync();
  return { step, checkpoint, evaluation };
}

/**
 * Trains, and evaluates what came of it on the final split.
 * @param {Opened} parts
 * @param {readonly import('./metrics.js').Line[]} history what is in the metrics of the training that goes on
 * @param {boolean} resumes
 * @param {Loop} [loop]
 * @returns {Promise<Result & {last: number}>} and the number of the last update
 */
async function trained(parts, history, resumes, loop) {
  const { platform, engine, model, inputs, plan, metrics, run } = parts;
  const first = resumes ? (lastStart(history)?.first ?? 1) : plan.first;
  const standing = new Standing(plan.patience || plan.best || loop ? inputs.final : 'test', history, first - 1);
  const saved = new Saved(platform.output, model, plan.keep, standing, metrics);
  await saved.find(history);
  const training = new TrainingRun({ ...parts, saved, standing });
  const progress = progressOf(history, plan.first - 1, plan.steps_per_epoch, standing.sinceBest);
  const builtIn = new BuiltInLoop(progress, platform.now);
  await (loop ? loop(training) : builtIn.train(training));
  await training.save();

  const best = plan.best ? await endWithBest(platform, engine, model, saved, standing, metrics) : null;
  const step = best ?? training.step;
  const split = /** @type {import('./dataset.js').Split} */ (inputs.splits.get(inputs.final));
  const evaluation = await evaluate(engine, split, plan.batch_size, model, platform.now);
  await training.checkEvaluated(evaluation, step, inputs.final);
  if (evaluation.predictions) {
    const heading = { run: run.id, step, split: inputs.final, classes: model.target.count, images: evaluation.images };
    const file = predictionsFile(evaluation.predictions, split.targets, heading);
    await platform.output.write(`predictions_${step}.bin`, joined(file));
  }
  const checkpoint = (best === null ? saved.last : saved.best) ?? null;
  return { step, evaluation, checkpoint, last: training.step };
}

/**
 * Evaluates the final split, and nothing else; says of a trained model what each class is worth.
 * @param {Opened} parts
 * @param {number} step
 * @param {readonly string[]} names of the classes
 * @returns {Promise<Result & {last: number}>}
 */
async function evaluated({ platform, engine, model, inputs, plan }, step, names) {
  const split = /** @type {import('./dataset.js').Split} */ (inputs.splits.get(inputs.final));
  const evaluation = await evaluate(engine, split, plan.batch_size, model, platform.now);
  const each = evaluation.scores.each();
  if (step && each.length > 1) platform.say(eachLine(names, each));
  return { step, evaluation, checkpoint: null, last: step };
}

/**
 * What the run starts from, and its file.
 * @param {Platform} platform
 * @param {Options} options
 * @param {Package} files
 * @param {Model} model
 * @returns {Promise<{start: Checkpoint, file: string}>}
 */
async function startOf(platform, options, files, model) {
  if (options.file && !options.resume) {
    const content = await platform.output.read(options.file);
    if (!content) throw new FormatError(`the checkpoint ${options.file} does not exist`);
    return { start: await readCheckpoint(options.file, content, model), file: options.file };
  }
  const file = `model/${untrainedName(model)}`;
  const untrained = await readCheckpoint(file, await files.read(file), model);
  return options.resume ? interrupted(platform, untrained, model, files.digest) : { start: untrained, file };
}

/**
 * Has the engine hold the checkpoint that was best, and says so.
 * @param {Platform} platform
 * @param {Engine} engine
 * @param {Model} model
 * @param {Saved} saved
 * @param {Standing} standing
 * @param {import('./metrics.js').Metrics} metrics
 * @returns {Promise<number | null>} its step, null where none was evaluated
 */
async function endWithBest(platform, engine, model, saved, standing, metrics) {
  const name = saved.best;
  const content = name && (await platform.output.read(name));
  if (!name || !content) return null;
  const best = await readCheckpoint(name, content, model);
  engine.restore(best);
  metrics.record('best', { step: best.step, file: name });
  platform.say(`best on ${standing.split} data after step ${best.step}: that is the trained model`);
  return best.step;
}

/**
 * Without its moments an optimizer would go on with steps several times too large and say nothing.
 * @param {Model} model
 * @param {Checkpoint} start
 * @param {string} file
 */
function checkStates(model, start, file) {
  if (!start.step) return;
  const { name, states } = model.optimizer;
  if (start.optimizer !== name) {
    throw new FormatError(`${file} was trained with ${start.optimizer}, this package has ${name}: it can be evaluated`);
  }
  const missing = states.filter((state) => !(state in start.states));
  if (missing.length) throw new FormatError(`${file} has no ${missing.join(' and ')} of the optimizer: it can be evaluated`);
}

/**
 * What nobody typed: the number of threads, and what a training that goes on takes over from the one before.
 * @param {Platform} platform
 * @param {Plan} plan
 * @param {Checkpoint} start
 * @param {boolean} chosen whether somebody said how many threads
 */
function sayHow(platform, plan, start, chosen) {
  if (!chosen) platform.say(`${plan.threads} thread${plan.threads > 1 ? 's' : ''}, of ${platform.cpus} CPUs`);
  if (!start.step) return;
  const rate = general(plan.learning_rate);
  const augmented = plan.augment.length ? `, augmented by ${plan.augment.join(' and ')}` : '';
  const how = `learning rate ${rate}, batch size ${plan.batch_size}, schedule ${plan.schedule}${augmented}`;
  platform.say(`going on after step ${start.step}, to step ${plan.last}: ${how}`);
  if (scheduleIsOver(plan)) {
    platform.say(
      `the ${plan.schedule} schedule ended in step ${plan.schedule_last}: ` +
        'the learning rate stays what it was there; give a --schedule to begin a new one',
    );
  }
}
