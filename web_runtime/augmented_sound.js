// Training sounds that are a little different in each epoch: earlier or later, and with noise behind them.

import { drawingFor } from './augmentation.js';

/** @typedef {import('./dataset.js').Split} Split */

/**
 * What happens to a sound.
 * @typedef {object} SoundChange
 * @property {number} later it begins by so many samples; where nothing is left is silence
 * @property {number} noise which of the noises
 * @property {number} turn the noise begins with its sample of that number, and goes on at its beginning
 * @property {number} level by which the noise is multiplied; 0 for none
 */

// Of a sound, how far it may begin earlier or later.
const SHIFT = 1 / 10;

// How many sounds get noise, and how much of the noise at most.
const [NOISY, LOUDEST] = [0.8, 0.1];

// Added to a number and taken away again: only whole ones are left in between, of two as near the even one.
const WHOLE = 1.5 * 2 ** 52;

/**
 * What happens to a sound in an epoch.
 * @param {readonly string[]} kinds `shift`, `noise`
 * @param {number | bigint} seed
 * @param {number} epoch from 0
 * @param {number} index of the sound in its split
 * @param {number} length of a sound, in samples
 * @param {number} noises how many there are, at least 1
 * @returns {SoundChange}
 */
export function soundChangeOf(kinds, seed, epoch, index, length, noises) {
  const random = drawingFor(index, seed, epoch);
  const most = Math.floor(length * SHIFT);
  // Always drawn, so that shifts stay what they are when noise is added.
  const later = random.upTo(2 * most) - most;
  const loud = LOUDEST * random.share();
  const level = random.share() < NOISY ? loud : 0;
  const [noise, turn] = [random.upTo(noises - 1), random.upTo(length - 1)];
  return { later: kinds.includes('shift') ? later : 0, noise, turn, level };
}

/**
 * Writes a sound as it is when it begins `later` by so many samples.
 * @param {Int16Array} sound
 * @param {Int16Array} into of the same length, of zeros
 * @param {number} later
 */
export function move(sound, into, later) {
  into.set(sound.subarray(Math.max(-later, 0), sound.length - Math.max(later, 0)), Math.max(later, 0));
}

/**
 * Adds noise to a sound; what is too loud is cut.
 * @param {Int16Array} sound
 * @param {Int16Array} noise of the same length
 * @param {Pick<SoundChange, 'turn' | 'level'>} change
 */
export function addNoise(sound, noise, { turn, level }) {
  const single = Math.fround(level);
  for (let place = 0; place < sound.length; place++) {
    const added = Math.fround(single * noise[(place + turn) % noise.length]);
    const whole = Math.fround(sound[place] + added) + WHOLE - WHOLE;
    sound[place] = Math.min(Math.max(whole, -(2 ** 15)), 2 ** 15 - 1);
  }
}

/** A split's sounds as they are in one epoch. @implements {Split} */
export class AugmentedSound {
  /**
   * @param {Split} sounds
   * @param {number} length of a sound
   * @param {readonly string[]} kinds
   * @param {number | bigint} seed
   * @param {number} epoch
   * @param {Int16Array | null} noise one after another, each as long as a sound; null where none is asked for
   */
  constructor(sounds, length, kinds, seed, epoch, noise) {
    const noises = noise ? noise.length / length : 1;
    this._sounds = sounds;
    this._changeOf = (/** @type {number} */ index) => soundChangeOf(kinds, seed, epoch, index, length, noises);
    this._noise = noise;
    this._length = length;
    this.length = sounds.length;
    this.targets = sounds.targets;
    this.label = sounds.label;
  }

  /** @param {ArrayLike<number>} indices */
  async batch(indices) {
    const { inputs, label } = await this._sounds.batch(indices);
    const data = new Int16Array(inputs.data.length);
    Array.from(indices, (index, place) => {
      const [first, end] = [place * this._length, (place + 1) * this._length];
      const [change, sound] = [this._changeOf(index), data.subarray(first, end)];
      move(inputs.data.subarray(first, end), sound, change.later);
      const begins = change.noise * this._length;
      if (this._noise) addNoise(sound, this._noise.subarray(begins, begins + this._length), change);
    });
    return { inputs: { ...inputs, data }, label };
  }
}
