// What a model is worth on a split.

import { isOneClass } from './model.js';
import { SCORES, largest, scoresOf } from './scores.js';

/** @typedef {import('./dataset.js').Split} Split */
/** @typedef {import('./model.js').Model} Model */
/** @typedef {{guesses: Int32Array, probabilities: Float32Array}} Predictions of each sample, which has one class */

/**
 * @typedef {object} Evaluation
 * @property {Record<string, number>} measures
 * @property {import('./scores.js').Scores} scores of which they are
 * @property {'accuracy' | 'f1' | 'r2'} measure the one by which a training is judged
 * @property {number} score its value
 * @property {number} loss the mean
 * @property {number} images
 * @property {number} seconds
 * @property {Predictions | null} predictions
 */

/** @typedef {'clip' | 'sigmoid' | 'softmax'} Probabilities what makes probabilities of logits */

/** By the loss that they were trained with; softmax by any other. */
const PROBABILITIES = /** @type {Record<string, Probabilities>} */ ({
  binary_cross_entropy: 'sigmoid',
  mean_squared_error: 'clip',
});

/**
 * Evaluates every sample of a split, or `most` so many, spread over it.
 * @param {import('./engine.js').Engine} engine
 * @param {Split} split
 * @param {number} batchSize
 * @param {Model} model
 * @param {() => number} now milliseconds
 * @param {number | null} most
 * @returns {Promise<Evaluation>}
 */
export async function evaluate(engine, split, batchSize, model, now, most = null) {
  const started = now();
  const order = spread(split.length, most ?? split.length);
  const scores = scoresOf(model.target);
  const [guesses, probabilities] = [new Int32Array(order.length), new Float32Array(order.length)];
  let lossSum = 0;
  for (let start = 0; start < order.length; start += batchSize) {
    const indices = order.slice(start, start + batchSize);
    const batch = await split.batch(indices);
    const { loss, outputs } = await engine.evaluate(batch);
    lossSum += loss * indices.length;
    scores.add(outputs, batch.label.data);
    if (isOneClass(model.target)) {
      for (let place = 0; place < indices.length; place++) {
        const logits = outputs.subarray(place * model.target.count, (place + 1) * model.target.count);
        guesses[start + place] = largest(logits, 0, logits.length);
        probabilities[start + place] = largestProbability(logits, howOf(model));
      }
    }
  }
  const [measures, measure] = [scores.result(), SCORES[model.target.kind]];
  return {
    measures,
    scores,
    measure,
    score: measures[measure],
    loss: lossSum / order.length,
    images: order.length,
    seconds: (now() - started) / 1000,
    predictions: isOneClass(model.target) ? { guesses, probabilities } : null,
  };
}

/**
 * `predictions_<step>.bin`: a line of JSON, then labels, guesses and their probabilities.
 * @param {Predictions} predictions
 * @param {BigInt64Array | Float32Array} labels
 * @param {{run: string, step: number, split: string, classes: number, images: number}} heading
 * @returns {(string | ArrayBufferView)[]}
 */
export function predictionsFile({ guesses, probabilities }, labels, heading) {
  const line = JSON.stringify({ format: 1, ...heading });
  return [`${line}\n`, Int32Array.from(labels, Number), guesses, probabilities];
}

/** @param {Model} model */
export const howOf = (model) => PROBABILITIES[model.loss] ?? 'softmax';

/**
 * What `predictionsFile` made.
 * @param {Uint8Array} bytes
 */
export function readPredictions(bytes) {
  const end = bytes.indexOf(10) + 1;
  const heading = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  // A typed array begins at a multiple of its elements' size.
  const numbers = bytes.slice(end).buffer;
  const { images } = heading;
  const [labels, guesses] = [0, 1].map((place) => new Int32Array(numbers, 4 * place * images, images));
  const probabilities = new Float32Array(numbers, 8 * images, images);
  return { heading: /** @type {{split: string, step: number}} */ (heading), labels, guesses, probabilities };
}

/**
 * Softmax, sigmoids or the logits themselves.
 * @param {Float32Array} logits
 * @param {Probabilities} how
 * @returns {number[]}
 */
export function probabilitiesOf(logits, how) {
  if (how === 'clip') return Array.from(logits, (logit) => Math.min(Math.max(logit, 0), 1));
  if (how === 'sigmoid') return Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
  const most = Math.max(...logits);
  const raised = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = raised.reduce((total, each) => total + each, 0);
  return raised.map((each) => each / sum);
}

/**
 * The probability of the largest of some logits; 0 where that is no number.
 * @param {Float32Array} logits
 * @param {Probabilities} how
 */
export function largestProbability(logits, how) {
  const found = Math.max(...probabilitiesOf(logits, how));
  return Number.isFinite(found) ? found : 0;
}

/**
 * At most `count` indices, evenly over a split, which is sorted by class.
 * @param {number} samples
 * @param {number} count
 * @returns {Uint32Array}
 */
export function spread(samples, count) {
  const most = Math.min(count, samples);
  const step = (samples - 1) / Math.max(most - 1, 1);
  const found = Array.from({ length: most }, (_, place) => Math.floor(place * step));
  if (most > 1) found[most - 1] = samples - 1;
  return Uint32Array.from(new Set(found));
}
