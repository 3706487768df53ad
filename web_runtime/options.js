// The options of device_runtime/formats/options.py that this runner has, by their names there.

import { FormatError } from './errors.js';

/**
 * What the user asked for; what is not there is as in the training of the checkpoint, or else as in the recipe.
 * @typedef {object} Options
 * @property {string} [file] a checkpoint in the output folder, to go on from
 * @property {number} [cycles] training steps; 0 evaluates alone
 * @property {number} [epochs]
 * @property {number} [learning_rate]
 * @property {number} [batch_size]
 * @property {number} [accumulate]
 * @property {number} [sink_size]
 * @property {number} [save_every]
 * @property {number} [keep]
 * @property {number} [target_accuracy]
 * @property {string} [schedule]
 * @property {number} [warmup]
 * @property {number} [evaluate_every]
 * @property {number} [patience]
 * @property {boolean} [best]
 * @property {readonly string[]} [augment]
 * @property {number} [seed]
 * @property {number} [threads]
 * @property {boolean} [no_cache]
 * @property {boolean} [resume]
 */

/** @typedef {(text: string) => any} Reader makes a value of a text; undefined where it cannot be meant */

/** @param {number} least @param {number} most @returns {Reader} */
const whole = (least, most = Number.MAX_SAFE_INTEGER) => (text) =>
  /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most ? Number(text) : undefined;

/** @param {(value: number) => boolean} fits @returns {Reader} */
const number = (fits) => (text) => (text.trim() && fits(Number(text)) ? Number(text) : undefined);

/** Changes of pictures and of sound. @type {readonly (readonly string[])[]} */
export const [OF_PICTURES, OF_SOUND] = [['flip', 'crop'], ['shift', 'noise']];

/** @type {Reader} */
const augmentations = (text) => {
  const kinds = text === 'none' || text === '' ? [] : text.split(',').map((kind) => kind.trim());
  return [OF_PICTURES, OF_SOUND].some((known) => kinds.every((kind) => known.includes(kind))) ? kinds : undefined;
};

/** @type {Reader} */
const yes = (text) => (text === 'true' ? true : undefined);

/** By name: what is read, and how it is said to a person. @type {Readonly<Record<string, readonly [Reader, string]>>} */
export const OPTIONS = {
  file: [(text) => (/^[^/\\]+\.safetensors$/.test(text) ? text : undefined), 'a checkpoint in the output folder'],
  cycles: [whole(0), 'a whole number of at least 0'],
  epochs: [whole(1), 'a whole number of at least 1'],
  learning_rate: [number((value) => value >= 0 && value < Infinity), 'a learning rate: a number of at least 0'],
  batch_size: [whole(1), 'a whole number of at least 1'],
  accumulate: [whole(1), 'a whole number of at least 1'],
  sink_size: [whole(1), 'a whole number of at least 1'],
  save_every: [whole(0), 'a whole number of at least 0'],
  keep: [whole(1), 'a whole number of at least 1'],
  target_accuracy: [number((value) => value > 0 && value <= 1), 'an accuracy: a number above 0 and at most 1'],
  schedule: [(text) => (['constant', 'step', 'cosine'].includes(text) ? text : undefined), 'constant, step or cosine'],
  warmup: [whole(0), 'a whole number of at least 0'],
  evaluate_every: [whole(0), 'a whole number of at least 0'],
  patience: [whole(0), 'a whole number of at least 0'],
  best: [yes, 'given without a value'],
  augment: [augmentations, `${OF_PICTURES.join(', ')}, of sound ${OF_SOUND.join(', ')}, both with a comma, or none`],
  seed: [whole(0), `a whole number of at most ${Number.MAX_SAFE_INTEGER}`],
  threads: [whole(1, 256), 'a number of threads, from 1 to 256'],
  no_cache: [yes, 'given without a value'],
  resume: [yes, 'given without a value'],
};

/**
 * Options as they are typed: `--cycles 300 --best`.
 * @param {readonly string[]} words
 * @returns {Options}
 */
export function parse(words) {
  /** @type {Record<string, string>} */
  const texts = {};
  for (let place = 0; place < words.length; place++) {
    const [, name, value] = /^--([a-z-]+)(?:=(.*))?$/.exec(words[place]) ?? [];
    if (!name) throw new FormatError(`${words[place]}: options begin with --`);
    const known = name.replaceAll('-', '_');
    const alone = OPTIONS[known]?.[0] === yes;
    texts[known] = value ?? (alone ? 'true' : (words[++place] ?? ''));
  }
  return checked(texts);
}

/**
 * Options as a page or a program gives them, or a file may say anything: texts, or the values themselves.
 * @param {Readonly<Record<string, any>>} given what is undefined, null or false is not given
 * @returns {Options}
 */
export function checked(given) {
  /** @type {Record<string, any>} */
  const options = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    const [read, meant] = OPTIONS[name] ?? [];
    if (!read) throw new FormatError(`${typed(name)} is no option of this runner: it has ${Object.keys(OPTIONS).map(typed).join(' ')}`);
    options[name] = read(String(value));
    if (options[name] === undefined) throw new FormatError(`${typed(name)} ${value}: give ${meant}`);
  }
  const { cycles, epochs, accumulate = 1, sink_size: sinkSize = 1 } = options;
  if (cycles !== undefined && epochs !== undefined) throw new FormatError('give --cycles or --epochs, not both');
  if (accumulate > 1 && sinkSize > 1) throw new FormatError('give --accumulate or --sink-size, not both');
  return options;
}

/** @param {string} name */
const typed = (name) => `--${name.replaceAll('_', '-')}`;
