// What a run records of itself: how it begins, and what it is worth.

import { Metrics, METRICS, rounded } from './metrics.js';
import { recordOf } from './plan.js';
import { keptRecords } from './resume.js';
import { joined, pythonJson } from './text.js';

/** @typedef {import('./checkpoint.js').Checkpoint} Checkpoint */
/** @typedef {import('./evaluation.js').Evaluation} Evaluation */
/** @typedef {import('./platform.js').Platform} Platform */
/** @typedef {import('./plan.js').Plan} Plan */

/**
 * What is run.
 * @typedef {object} What
 * @property {import('./model.js').Model} model
 * @property {Checkpoint} start
 * @property {string} file of the start
 * @property {Plan} plan
 * @property {string} digest of the package
 * @property {boolean} trains false where it evaluates alone
 * @property {boolean} resumes whether a training goes on that was interrupted
 */

/**
 * The open metrics, what is in them already of the training that goes on, and the training's own name.
 * @param {Platform} platform
 * @param {What} what
 */
export async function recorded(platform, { model, start, file, plan, digest, trains, resumes }) {
  const { output } = platform;
  const id = resumes ? start.run.id : hexadecimal(crypto.getRandomValues(new Uint8Array(6)));
  const run = { id, package: digest, plan: recordOf(plan) };
  const history = trains ? await keptRecords(output, start, file) : [];
  if (trains && !history.length) await setAside(output);
  const named = { model: model.name, digest: model.digest, engine: 'lowered', time: Math.floor(platform.time()) };
  const first = resumes
    ? { event: 'resume', step: start.step, file: file.split('/').pop() }
    : { event: 'start', ...named, run: id, package: digest, file, ...run.plan };
  const name = trains ? METRICS : `evaluation_${start.step}.jsonl`;
  // In one go with what is kept: a file that says nothing of its training could not be gone on from.
  const records = [...history, first];
  await output.write(name, joined(records.map((record) => `${pythonJson(record)}\n`)));
  for (const record of records) platform.record(record);
  return { metrics: new Metrics(platform, name), history, run };
}

/**
 * @param {Metrics} metrics
 * @param {Evaluation} found
 * @param {number} step
 * @param {string} split
 */
export function recordEvaluation(metrics, { measure, measures, loss, images, seconds }, step, split) {
  metrics.record('evaluation', { step, split, measure, ...measures, loss, images, seconds: rounded(seconds, 3) });
}

/**
 * What each class, label or value is worth, by their names; of one value alone that is known.
 * @param {Metrics} metrics
 * @param {Evaluation} found
 * @param {number} step
 * @param {string} split
 * @param {readonly string[]} names
 */
export function recordEach(metrics, { scores }, step, split, names) {
  const each = scores.each();
  if (each.length === 1) return;
  // A model may have more outputs than its dataset has classes: of those there are no samples.
  each.slice(0, names.length).forEach((measures, place) => {
    metrics.record('class', { step, split, name: names[place], ...measures });
  });
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

/** @param {Uint8Array} bytes */
const hexadecimal = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
