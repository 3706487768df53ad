// What the page shows of a training: its state, numbers, curves, and the log.

import { scoreIn } from '../metrics.js';
import { Chart } from './chart.js';

/** @typedef {import('../metrics.js').Line} Line */

// Of the log so many characters stay.
const MOST_LOGGED = 200_000;
const MEASURES = /** @type {Record<string, string>} */ ({ accuracy: 'Accuracy', f1: 'F1', r2: 'R²' });

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
export const part = (id) => /** @type {T} */ (document.getElementById(id));

/** @param {HTMLElement} log */
const isAtEnd = (log) => log.scrollTop + log.clientHeight > log.scrollHeight - 40;

/** The parts of the page that a training changes. */
export class View {
  constructor() {
    const percent = (/** @type {number} */ value) => `${Number((100 * value).toFixed(1))} %`;
    this._loss = new Chart(part('loss'), (value) => String(Number(value.toPrecision(3))), null);
    /** @type {Chart | null} made when it is known what is measured */
    this._score = null;
    this._percent = percent;
    this._last = 0;
    /** @type {number[]} of the last steps */
    this._seconds = [];
    // The end of the log is seen, until its reader scrolls up.
    this._follows = true;
    const log = part('log');
    log.onwheel = log.ontouchmove = log.onkeydown = () => requestAnimationFrame(() => (this._follows = isAtEnd(log)));
    new ResizeObserver(() => this._follow()).observe(log);
  }

  /** @param {string} line */
  log(line) {
    const log = part('log');
    log.append(`${line}\n`);
    if ((log.textContent ?? '').length > MOST_LOGGED) log.firstChild?.remove();
    this._follow();
  }

  _follow() {
    const log = part('log');
    if (this._follows) log.scrollTop = log.scrollHeight;
  }

  /** @param {string} text */
  state(text) {
    part('state').textContent = text;
  }

  /** Forgets the curves of another training; what the untrained model is worth stays. */
  clear() {
    this._loss.keep(0);
    this._score?.keep(0);
    part('after').textContent = '–';
  }

  /**
   * Shows what goes into metrics.jsonl.
   * @param {Line} record
   */
  record(record) {
    const { event, step = 0 } = record;
    if (event === 'start') this._last = record.last;
    if (event === 'step') this._stepped(step, record.loss, record.seconds);
    if (event === 'report' || event === 'evaluation') this._evaluated(step, scoreIn(record), record.measure);
  }

  /** @param {number} step @param {number} loss @param {number} seconds */
  _stepped(step, loss, seconds) {
    this._loss.add(step, loss);
    part('progress').setAttribute('value', String(this._last ? step / this._last : 0));
    this._seconds = [...this._seconds.slice(-49), seconds];
    const median = [...this._seconds].sort((one, other) => one - other)[this._seconds.length >> 1];
    part('speed').textContent = `${Number((1000 * median).toPrecision(2))} ms`;
  }

  /** @param {number} step @param {number} score @param {string} measure */
  _evaluated(step, score, measure = 'accuracy') {
    const format = measure === 'accuracy' ? this._percent : (/** @type {number} */ value) => String(Number(value.toFixed(3)));
    const name = MEASURES[measure] ?? measure;
    part('measure-before').textContent = `${name} before`;
    part('measure-after').textContent = `${name} now`;
    part(step ? 'after' : 'before').textContent = format(score);
    this._score ??= new Chart(part('score'), format, measure === 'accuracy' ? 1 : null);
    this._score.add(step, score);
  }
}
