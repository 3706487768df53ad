// Which evaluation of a training was the best so far, and how many came since.

import { scoreIn } from './metrics.js';

/** The scores on all samples of a split while it is trained; the best is the first of the highest. */
export class Standing {
  /**
   * @param {string} split whose evaluations count
   * @param {readonly import('./metrics.js').Line[]} records of the training that goes on here
   * @param {number} began number of the last update before this training
   */
  constructor(split, records, began) {
    this.split = split;
    this._began = began;
    const evaluated = records.filter((record) => record.event === 'evaluation' && record.split === split);
    this._scores = new Map(evaluated.map((record) => [/** @type {number} */ (record.step), scoreIn(record)]));
  }

  /** @param {number} step @param {number} score of the evaluation after that update */
  note(step, score) {
    this._scores.set(step, score);
  }

  /**
   * @param {Iterable<number>} steps
   * @returns {number | null} the one that was evaluated best; null where none was evaluated
   */
  bestOf(steps) {
    const evaluated = [...steps].flatMap((step) => {
      const score = this._scores.get(step);
      return score === undefined ? [] : [{ step, score }];
    });
    evaluated.sort((one, other) => other.score - one.score || one.step - other.step);
    return evaluated.length ? evaluated[0].step : null;
  }

  /** How many evaluations of this training came after the best one, none of them better. */
  get sinceBest() {
    const last = Math.max(this._began, this.bestOf(this._scores.keys()) ?? 0);
    return [...this._scores.keys()].filter((step) => step > last).length;
  }
}
