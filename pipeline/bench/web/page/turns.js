// What every engine's worker shares: what is trained, and how long its steps take.

import { Batches } from '../web_runtime/batches.js';
import { readCheckpoint, untrainedName } from '../web_runtime/checkpoint.js';
import { openDataset } from '../web_runtime/dataset.js';
import { readModel } from '../web_runtime/model.js';

/** @typedef {import('../web_runtime/dataset.js').Batch} Batch */
/** @typedef {{ms: number, losses: number[]}} Turn median duration of a step; losses: the first, means of warm-up and turn */
/** @typedef {(batch: number, step: number) => Promise<number>} Step trains with a batch, of that number; gives the loss before it */
/** @typedef {{folder: string, threads: number, seconds: number}} Ask for a turn of at least so many seconds */

// V8 compiles WebAssembly and JavaScript anew when they have run some hundred times.
const WARM_UP_STEPS = 200;
const LEAST_STEPS = 3;

/**
 * A package's model as training starts, and the batches of an epoch.
 * @param {import('../web_runtime/package.js').Package} files
 */
export async function opened(files) {
  const [model, dataset] = [await readModel(files), await openDataset(files)];
  const file = `model/${untrainedName(model)}`;
  const start = await readCheckpoint(file, await files.read(file), model);
  const split = /** @type {import('../web_runtime/dataset.js').Split} */ (dataset.splits.get('train'));
  const order = new Batches(split.length, model.recipe.batch_size, 1);
  /** @type {Batch[]} */
  const batches = [];
  for (let step = 1; step <= order.stepsPerEpoch; step++) batches.push(await split.batch(order.indices(step)));
  return { model, start, batches };
}

/**
 * Answers the page's messages with a turn each; before the first one, the engine is made and warm.
 * @param {(ask: Ask) => Promise<{step: Step, batches: number}>} make
 */
export function serve(make) {
  /** @type {((seconds: number) => Promise<Turn>) | null} */
  let turn = null;
  self.onmessage = async ({ data }) => {
    try {
      turn ??= await warmed(await make(data));
      postMessage(await turn(data.seconds));
    } catch (error) {
      postMessage({ error: `${error}` });
    }
  };
}

/**
 * @param {{step: Step, batches: number}} engine
 * @returns {Promise<(seconds: number) => Promise<Turn>>}
 */
async function warmed({ step, batches }) {
  let done = 0;
  const next = () => step(done % batches, ++done);
  /** @type {number[]} */
  const before = [];
  while (done < WARM_UP_STEPS) before.push(await next());
  return async (seconds) => {
    const [times, losses] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
    const ends = performance.now() + 1000 * seconds;
    while (times.length < LEAST_STEPS || performance.now() < ends) {
      const started = performance.now();
      losses.push(await next());
      times.push(performance.now() - started);
    }
    return { ms: median(times), losses: [before[0], mean(before), mean(losses)] };
  };
}

/** @param {number[]} numbers */
const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** @param {number[]} numbers */
function median(numbers) {
  const [sorted, half] = [numbers.toSorted((one, other) => one - other), numbers.length >> 1];
  return numbers.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
