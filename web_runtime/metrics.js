// metrics.jsonl: one JSON object a line, appended while the training runs.

import { FormatError } from './errors.js';
import { pythonJson } from './text.js';

/** @typedef {{event: string, [name: string]: any}} Line of the file */
/** @typedef {import('./platform.js').Platform} Platform */

/** The file's name. */
export const METRICS = 'metrics.jsonl';

/** The file that is appended to: each record is heard at once, and written with others by `sync`. */
export class Metrics {
  /**
   * @param {Platform} platform
   * @param {string} name of the file
   */
  constructor(platform, name) {
    this._platform = platform;
    this._name = name;
    this._lines = '';
  }

  /**
   * JSON has no word for a number that is not finite, which becomes null.
   * @param {string} event
   * @param {{[name: string]: string | number | boolean | null}} fields
   */
  record(event, fields) {
    const record = { event, ...fields };
    this._lines += `${pythonJson(record)}\n`;
    this._platform.record(record);
  }

  /** Writes what was recorded. */
  async sync() {
    if (!this._lines) return;
    const lines = this._lines;
    this._lines = '';
    await this._platform.output.append(this._name, lines);
  }
}

/**
 * The records of a file, none where there is no file, without a last one that was half written.
 * @param {import('./platform.js').Output} output
 * @param {string} name
 * @returns {Promise<Line[]>}
 */
export async function readRecords(output, name = METRICS) {
  const content = await output.read(name);
  if (!content) return [];
  const lines = new TextDecoder().decode(content).split('\n').slice(0, -1);
  return lines.map((line, place) => {
    try {
      return JSON.parse(line);
    } catch (error) {
      throw new FormatError(`${name} is damaged in line ${place + 1} (${/** @type {Error} */ (error).message})`);
    }
  });
}

/** @param {number} number @param {number} digits behind the point */
export const rounded = (number, digits) => Number(number.toFixed(digits));

/**
 * @param {Line} record of a report or an evaluation
 * @returns {number} by which the training is judged
 */
export const scoreIn = (record) => record[record.measure ?? 'accuracy'];

/**
 * @param {readonly Line[]} records
 * @returns {Line | undefined} how the training began whose records are the last
 */
export const lastStart = (records) => records.findLast(({ event }) => event === 'start');

/**
 * What a training had recorded when it saved the checkpoint after an update, and all before it began.
 * @param {readonly Line[]} records
 * @param {string} run the training's id
 * @param {number} step
 * @returns {Line[]} none, where the training is not among them
 */
export function until(records, run, step) {
  const begun = records.findLastIndex((record) => record.event === 'start' && record.run === run);
  if (begun < 0) return [];
  for (let place = begun + 1; place < records.length; place++) {
    const { event, step: at = 0 } = records[place];
    if (event === 'checkpoint' && at === step) return records.slice(0, place + 1);
    if (at > step || ['start', 'end', 'diverged'].includes(event)) return records.slice(0, place);
  }
  return [...records];
}
