// The pictures that a trained model gets wrong, of the split that it was evaluated on at last, the surest first.

import { readPredictions } from '../evaluation.js';
import { isPicture } from '../model.js';

const MOST = 24;

/** @typedef {{index: number, label: number, guess: number, probability: number}} Mistake */

/**
 * @param {import('../dataset.js').Dataset} dataset
 * @param {Uint8Array} bytes of predictions_<step>.bin
 * @returns {{about: string, items: Promise<HTMLLIElement>[]} | null} null where the samples are no pictures
 */
export function wrongOf(dataset, bytes) {
  const { heading, labels, guesses, probabilities } = readPredictions(bytes);
  const split = dataset.splits.get(heading.split);
  if (!split || !isPicture(dataset.sample)) return null;
  /** @type {Mistake[]} */
  const mistakes = [];
  labels.forEach((label, index) => {
    const guess = guesses[index];
    if (guess !== label) mistakes.push({ index, label, guess, probability: probabilities[index] });
  });
  mistakes.sort((one, other) => other.probability - one.probability);
  const shown = mistakes.slice(0, MOST);
  const rest = mistakes.length > shown.length ? `; these ${shown.length} it was surest of` : '';
  const about = `${mistakes.length} of ${labels.length} ${heading.split} images${rest}.`;
  const name = (/** @type {number} */ number) => dataset.classes[number] ?? String(number);
  return { about, items: shown.map((mistake) => itemOf(split, dataset.sample.shape, mistake, name)) };
}

/**
 * @param {import('../dataset.js').Split} split
 * @param {readonly number[]} shape
 * @param {Mistake} mistake
 * @param {(number: number) => string} name
 */
async function itemOf(split, [height, width, channels], { index, label, guess, probability }, name) {
  const { inputs } = await split.batch([index]);
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const pixels = new ImageData(width, height);
  for (let place = 0; place < width * height; place++) {
    for (let colour = 0; colour < 3; colour++) {
      pixels.data[place * 4 + colour] = inputs.data[place * channels + (channels === 1 ? 0 : colour)];
    }
    pixels.data[place * 4 + 3] = 255;
  }
  canvas.getContext('2d')?.putImageData(pixels, 0, 0);
  const [taken, is] = [document.createElement('b'), document.createElement('span')];
  taken.textContent = name(guess);
  is.textContent = `, not ${name(label)} (${Math.round(100 * probability)}\u00a0%)`;
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `A picture of ${name(label)}, taken for ${name(guess)}`);
  const item = document.createElement('li');
  item.append(canvas, taken, is);
  return item;
}
