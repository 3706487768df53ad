// The page's side of the worker: a question is a promise of its answer.

/** @typedef {import('./teacher.js').Subject} Subject */
/** @typedef {import('./teacher.js').Seen} Seen */
/** @typedef {import('./teacher.js').Progress} Progress */
/** @typedef {import('./teacher.js').Taught} Taught */
/** @typedef {Blob | ImageBitmap} Picture */
/** @typedef {{probabilities: number[], thumbnail: Blob}} Recognised */

/**
 * @typedef {{what: 'subject'}
 *   | {what: 'see', picture: Picture}
 *   | {what: 'recognise', picture: Picture, classes: number}
 *   | {what: 'restore', checkpoint: Uint8Array}
 *   | {what: 'teach', rows: Float32Array, labels: number[], wishes: import('./teacher.js').Wishes}} Question
 */

/** A worker that is asked. */
export class Asked {
  /** @param {Worker} worker */
  constructor(worker) {
    this._worker = worker;
    this._number = 0;
    this._teaching = 0;
    /** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void, heard: (progress: Progress) => void}>} */
    this._open = new Map();
    worker.addEventListener('message', ({ data: { number, answer, error, progress } }) => {
      const open = this._open.get(number);
      if (progress) return open?.heard(progress);
      this._open.delete(number);
      if (error === undefined) open?.resolve(answer);
      else open?.reject(new Error(error));
    });
    worker.addEventListener('error', (event) => {
      // A module that cannot be loaded has no message.
      const error = new Error(event.message || 'this browser cannot run the worker of this page');
      for (const { reject } of this._open.values()) reject(error);
      this._open.clear();
    });
  }

  /** @returns {Promise<Subject>} */
  subject() {
    return this._ask({ what: 'subject' });
  }

  /** @param {Picture} picture @returns {Promise<Seen>} */
  see(picture) {
    return this._ask({ what: 'see', picture });
  }

  /** @param {Picture} picture @param {number} classes @returns {Promise<Recognised>} */
  recognise(picture, classes) {
    return this._ask({ what: 'recognise', picture, classes });
  }

  /** @param {Uint8Array} checkpoint @returns {Promise<void>} */
  restore(checkpoint) {
    return this._ask({ what: 'restore', checkpoint });
  }

  /**
   * @param {Float32Array} rows
   * @param {number[]} labels
   * @param {import('./teacher.js').Wishes} wishes
   * @param {(progress: Progress) => void} heard
   * @returns {Promise<Taught | null>}
   */
  teach(rows, labels, wishes, heard) {
    this._teaching = this._number;
    return this._ask({ what: 'teach', rows, labels, wishes }, heard);
  }

  /** Has the teaching end after the update that it makes. */
  stop() {
    this._worker.postMessage({ what: 'stop', number: this._teaching });
  }

  /**
   * @param {Question} question
   * @param {(progress: Progress) => void} heard
   * @returns {Promise<any>}
   */
  _ask(question, heard = () => {}) {
    const number = this._number++;
    const picture = 'picture' in question && question.picture instanceof ImageBitmap ? [question.picture] : [];
    return new Promise((resolve, reject) => {
      this._open.set(number, { resolve, reject, heard });
      this._worker.postMessage({ ...question, number }, picture);
    });
  }
}
