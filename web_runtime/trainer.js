// The runner: opens a package, trains if asked to, evaluates, records. What a page, a worker or Node calls.

import { readCheckpoint, untrainedName } from './checkpoint.js';
import { misfit, openDataset } from './dataset.js';
import { Engine } from './engine.js';
import { FormatError } from './errors.js';
import { evaluate, predictionsFile } from './evaluation.js';
import { openInputs } from './inputs.js';
import { general, scoreOn } from './lines.js';
import { BuiltInLoop } from './loop.js';
import { METRICS, Metrics, lastStart } from './metrics.js';
import { readModel } from './model.js';
import { checked } from './options.js';
import { Package } from './package.js';
import { makePlan, recordOf, scheduleIsOver } from './plan.js';
import { interrupted, keptRecords, progressOf } from './resume.js';
import { TrainingRun, recordEvaluation, rounded } from './run.js';
import { Saved } from './saved.js';
import { Standing } from './standing.js';
import { joined, pythonJson } from './text.js';

export { FormatError };

/** @typedef {import('./platform.js').Platform} Platform */
/** @typedef {import('./checkpoint.js').Checkpoint} Checkpoint */
/** @typedef {import('./options.js').Options} Options */
/** @typedef {import('./model.js').Model} Model */
/** @typedef {import('./plan.js').Plan} Plan */
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
  const problems = misfit(dataset, model, Boolean(options.augment?.length));
  if (problems) throw new FormatError(`the dataset does not fit ${model.name}: ${problems}; package again`);

  const { start, file } = await startOf(platform, options, files, model);
  const threads = Math.min(USUAL_THREADS, platform.cpus);
  const images = /** @type {import('./dataset.js').Split} */ (dataset.splits.get('train')).length;
  const plan = makePlan(options, model, start, images, threads);
  // One that was killed in its end has to come to it.
  const trains = plan.last >= plan.first || Boolean(options.resume);
  const inputs = await openInputs(platform, files, plan, model, dataset, trains);
  const engine = new Engine(files, platform.Tensor, model, start, plan.batch_size, plan.threads);
  if (!trains) return evaluated(platform, engine, inputs, plan, model, start);

  checkStates(model, start, file);
  sayHow(platform, plan, start, 'threads' in start.run.plan || options.threads !== undefined);
  const { metrics, history, run } = await recorded(platform, options, model, start, file, plan, files.digest);
  const first = options.resume ? (lastStart(history)?.first ?? 1) : plan.first;
  const standing = new Standing(plan.patience || plan.best || loop ? inputs.final : 'test', history, first - 1);
  const saved = new Saved(platform.output, model, plan.keep, standing, metrics);
  await saved.find(history);
  const training = new TrainingRun({ platform, engine, model, inputs, plan, saved, standing, metrics, run });
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
    const parts = predictionsFile(evaluation.predictions, split.targets, heading);
    await platform.output.write(`predictions_${step}.bin`, joined(parts));
  }
  platform.say(scoreOn(inputs.final, evaluation.score, evaluation.measure));
  recordEvaluation(metrics, evaluation, step, inputs.final);
  metrics.record('end', { step: training.step, seconds: rounded((platform.now() - began) / 1000, 3) });
  await metrics.sync();
  return { step, checkpoint: (best === null ? saved.last : saved.best) ?? null, evaluation };
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
 * Evaluates the final split, and nothing else.
 * @param {Platform} platform
 * @param {Engine} engine
 * @param {import('./inputs.js').Inputs} inputs
 * @param {Plan} plan
 * @param {Model} model
 * @param {Checkpoint} start
 * @returns {Promise<Result>}
 */
async function evaluated(platform, engine, inputs, plan, model, { step }) {
  const split = /** @type {import('./dataset.js').Split} */ (inputs.splits.get(inputs.final));
  const evaluation = await evaluate(engine, split, plan.batch_size, model, platform.now);
  platform.say(scoreOn(inputs.final, evaluation.score, evaluation.measure));
  const name = `evaluation_${step}.jsonl`;
  await platform.output.remove(name);
  const metrics = new Metrics(platform, name);
  recordEvaluation(metrics, evaluation, step, inputs.final);
  await metrics.sync();
  return { step, checkpoint: null, evaluation };
}

/**
 * The open metrics, what is in them already of the training that goes on, and the training's own name.
 * @param {Platform} platform
 * @param {Options} options
 * @param {Model} model
 * @param {Checkpoint} start
 * @param {string} file
 * @param {Plan} plan
 * @param {string} digest of the package
 */
async function recorded(platform, options, model, start, file, plan, digest) {
  const { output } = platform;
  const id = options.resume ? start.run.id : hexadecimal(crypto.getRandomValues(new Uint8Array(6)));
  const run = { id, package: digest, plan: recordOf(plan) };
  const history = await keptRecords(output, start, file);
  if (!history.length) await setAside(output);
  const named = { model: model.name, digest: model.digest, engine: 'lowered', time: Math.floor(platform.time()) };
  const first = options.resume
    ? { event: 'resume', step: start.step, file: file.split('/').pop() }
    : { event: 'start', ...named, run: id, package: digest, file, ...run.plan };
  // In one go with what is kept: a file that says nothing of its training could not be gone on from.
  const records = [...history, first];
  await output.write(METRICS, joined(records.map((record) => `${pythonJson(record)}\n`)));
  for (const record of records) platform.record(record);
  return { metrics: new Metrics(platform, METRICS), history, run };
}

/**
 * Moves what another training left into a folder within, named after it.
 * @param {import('./platform.js').Output} output
 */
async function setAside(output) {
  const content = await output.read(METRICS);
  if (!content) return;
  const began = /"event": "start".*?"run": "([0-9a-f]+)"/.exec(new TextDecoder().decode(content));
  await output.setAside(`earlier-${began?.[1] ?? 'damaged'}`);
}

/**
 * Has the engine hold the checkpoint that was best, and says so.
 * @param {Platform} platform
 * @param {Engine} engine
 * @param {Model} model
 * @param {Saved} saved
 * @param {Standing} standing
 * @param {Metrics} metrics
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

/** @param {Uint8Array} bytes */
const hexadecimal = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
