// What a model's outputs are worth beside their targets, summed up batch by batch; names and definitions are
// scikit-learn's, as in device_runtime/scores.py.

import { sizeOf } from './model.js';

/** @typedef {import('./model.js').Target} Target */

/**
 * @typedef {object} Scores
 * @property {(outputs: Float32Array, targets: any) => void} add takes a batch
 * @property {() => Record<string, number>} result every measure by its name, the score first
 * @property {() => Measures[]} each those of each class, label or value alone, the first the one to sort by
 */

/** @typedef {Record<string, number> & {count: number}} Measures and how many there were */

/** By which a training is judged: the larger, the better, at most 1. */
export const SCORES = /** @type {const} */ ({ class: 'accuracy', labels: 'f1', values: 'r2' });

// Where there are more classes than that.
const TOP = 5;

/**
 * @param {Target} target
 * @returns {Scores}
 */
export function scoresOf(target) {
  return { class: classScores, labels: labelScores, values: valueScores }[target.kind](target);
}

/**
 * The place of the largest of some outputs that lie `stride` apart; the first of equal ones.
 * @param {Float32Array} outputs
 * @param {number} first
 * @param {number} count
 * @param {number} stride
 */
export function largest(outputs, first, count, stride = 1) {
  let best = 0;
  for (let place = 1; place < count; place++) {
    const [value, least] = [outputs[first + place * stride], outputs[first + best * stride]];
    // As numpy: what is no number is the largest.
    if (value > least || (Number.isNaN(value) && !Number.isNaN(least))) best = place;
  }
  return best;
}

/**
 * Accuracy, with more than five classes that of the best five, and macro F1.
 * @param {Target} target
 * @returns {Scores}
 */
function classScores({ count, shape, ignore }) {
  const positions = sizeOf(shape);
  const [right, guessed, there] = [0, 0, 0].map(() => new Float64Array(count));
  let inTop = 0;
  return {
    add(outputs, targets) {
      for (let place = 0; place < targets.length; place++) {
        const known = Number(targets[place]);
        if (known === ignore) continue;
        // Classes come before positions.
        const first = Math.floor(place / positions) * count * positions + (place % positions);
        const guess = largest(outputs, first, count, positions);
        guessed[guess]++;
        there[known]++;
        if (guess === known) right[known]++;
        let above = 0;
        const own = outputs[first + known * positions];
        for (let each = 0; each < count; each++) if (outputs[first + each * positions] > own) above++;
        if (above < TOP) inTop++;
      }
    },
    result() {
      const all = Math.max(1, sum(there));
      const top = count > TOP && { [`top${TOP}`]: inTop / all };
      return { accuracy: sum(right) / all, ...top, f1: macroF1(right, guessed, there) };
    },
    each: () => eachOf(right, guessed, there),
  };
}

/**
 * Of several labels: macro F1 where a logit above 0 says yes, the area under the ROC curve, and accuracy.
 * @param {Target} target
 * @returns {Scores}
 */
function labelScores({ count }) {
  /** @type {{logit: number, yes: boolean}[][]} of each label */
  const columns = Array.from({ length: count }, () => []);
  const counted = (/** @type {(each: {logit: number, yes: boolean}) => boolean} */ test) =>
    Float64Array.from(columns, (column) => column.filter(test).length);
  /** How many were guessed rightly, guessed, and there. @returns {[Float64Array, Float64Array, Float64Array]} */
  const counts = () => [
    counted(({ logit, yes }) => logit > 0 && yes),
    counted(({ logit }) => logit > 0),
    counted(({ yes }) => yes),
  ];
  return {
    add(outputs, targets) {
      targets.forEach((/** @type {number} */ target, /** @type {number} */ place) =>
        columns[place % count].push({ logit: outputs[place], yes: target > 0.5 }),
      );
    },
    result() {
      const f1 = macroF1(...counts());
      const areas = columns.filter((column) => new Set(column.map(({ yes }) => yes)).size === 2).map(area);
      const auc = areas.length > 0 && { auc: mean(areas) };
      const same = sum(counted(({ logit, yes }) => logit > 0 === yes));
      return { f1, ...auc, accuracy: same / Math.max(1, count * columns[0].length) };
    },
    each: () => eachOf(...counts()),
  };
}

/**
 * R², mean absolute error and the root of the mean squared one.
 * @param {Target} target
 * @returns {Scores}
 */
function valueScores({ count }) {
  const [away, awaySquares, squares, absolutes] = [0, 0, 0, 0].map(() => new Float64Array(count));
  /** @type {Float32Array | null} */
  let around = null;
  let samples = 0;
  const all = () => Math.max(1, samples);
  const r2 = () =>
    away.map((off, column) => {
      const spread = awaySquares[column] - (off * off) / all();
      // What never changes and is always met counts 1, otherwise 0.
      return spread > 0 ? 1 - squares[column] / spread : squares[column] > 0 ? 0 : 1;
    });
  return {
    add(outputs, targets) {
      // Sums of squares around some value of the data lose no digits to a mean far from 0.
      around ??= targets.slice(0, count);
      samples += targets.length / count;
      for (let place = 0; place < targets.length; place++) {
        const column = place % count;
        const off = targets[place] - /** @type {Float32Array} */ (around)[column];
        const error = outputs[place] - targets[place];
        away[column] += off;
        awaySquares[column] += off * off;
        squares[column] += error * error;
        absolutes[column] += Math.abs(error);
      }
    },
    result: () => ({ r2: mean(r2()), mae: mean(absolutes) / all(), rmse: Math.sqrt(mean(squares) / all()) }),
    each: () =>
      Array.from(r2(), (value, column) => {
        const [mae, rmse] = [absolutes[column] / all(), Math.sqrt(squares[column] / all())];
        return { r2: value, mae, rmse, count: samples };
      }),
  };
}

/**
 * F1, precision and recall of each class: 0 where there is nothing to divide by.
 * @param {Float64Array} right
 * @param {Float64Array} guessed
 * @param {Float64Array} there
 */
function eachOf(right, guessed, there) {
  return Array.from(right, (hits, place) => ({
    f1: (2 * hits) / Math.max(guessed[place] + there[place], 1),
    precision: hits / Math.max(guessed[place], 1),
    recall: hits / Math.max(there[place], 1),
    count: there[place],
  }));
}

/**
 * Mean over those that were guessed or there.
 * @param {Float64Array} right
 * @param {Float64Array} guessed
 * @param {Float64Array} there
 */
function macroF1(right, guessed, there) {
  const each = Array.from(right, (hits, place) => [hits, guessed[place] + there[place]]).filter(([, met]) => met > 0);
  return each.length ? mean(each.map(([hits, met]) => (2 * hits) / met)) : 0;
}

/**
 * Area under the ROC curve by the ranks of the logits (Mann and Whitney), equal ones sharing theirs.
 * @param {{logit: number, yes: boolean}[]} column
 */
function area(column) {
  const order = [...column].sort((one, other) => one.logit - other.logit);
  let [ranks, positive] = [0, 0];
  for (let first = 0; first < order.length; ) {
    let end = first;
    while (end < order.length && order[end].logit === order[first].logit) end++;
    const yes = order.slice(first, end).filter((each) => each.yes).length;
    ranks += (yes * (first + 1 + end)) / 2;
    positive += yes;
    first = Math.max(end, first + 1);
  }
  return (ranks - (positive * (positive + 1)) / 2) / (positive * (order.length - positive));
}

/** @param {ArrayLike<number>} numbers */
const sum = (numbers) => Array.from(numbers).reduce((total, number) => total + number, 0);

/** @param {ArrayLike<number>} numbers */
const mean = (numbers) => sum(numbers) / numbers.length;
