// The modules of web_runtime give what tests/vectors holds, which the Python runner made.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { change, changeOf } from '../../web_runtime/augmentation.js';
import { addNoise, move, soundChangeOf } from '../../web_runtime/augmented_sound.js';
import { Batches } from '../../web_runtime/batches.js';
import { largestProbability, spread } from '../../web_runtime/evaluation.js';
import { eachLine, general } from '../../web_runtime/lines.js';
import { Random, hashed } from '../../web_runtime/random.js';
import { learningRateAt } from '../../web_runtime/schedules.js';
import { scoresOf } from '../../web_runtime/scores.js';
import { centre } from '../../web_runtime/teach/pictures.js';

/** @param {string} name @returns {any[]} */
const vectors = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));

/** @param {number} found @param {number} wanted @param {number} share */
const near = (found, wanted, share = 1e-9) =>
  assert.ok(Math.abs(found - wanted) <= share * Math.max(1, Math.abs(wanted)), `${found} is not ${wanted}`);

/** @param {Record<string, number>} found @param {Record<string, number>} wanted */
const same = (found, wanted) => {
  assert.deepEqual(Object.keys(found), Object.keys(wanted));
  for (const [name, value] of Object.entries(wanted)) near(found[name], value);
};

test('numbers are hashed and drawn as numpy does', () => {
  for (const { numbers, words, drawn } of vectors('hashed')) {
    assert.deepEqual(Array.from(hashed(numbers.map(BigInt))), words);
    const random = new Random(numbers.map(BigInt));
    for (const whole of drawn) {
      const [low, high] = [random.next32(), random.next32()];
      assert.equal((BigInt(high) << 32n) | BigInt(low), BigInt(whole));
    }
  }
});

test('an epoch has its order, and a step its batch', () => {
  for (const { seed, epoch, step, samples, batch_size: size = samples, order, indices } of vectors('order')) {
    const batches = new Batches(samples, size, BigInt(seed));
    const wanted = order ?? indices;
    assert.deepEqual(Array.from(batches.indices(step ?? epoch + 1).slice(0, wanted.length)), wanted);
  }
});

test('a picture is mirrored and shifted by seed, epoch and place', () => {
  for (const { seed, epoch, index, height, width, ...wanted } of vectors('augmentation')) {
    assert.deepEqual(changeOf(['flip', 'crop'], BigInt(seed), epoch, index, height, width), wanted);
    const flipped = changeOf(['flip'], BigInt(seed), epoch, index, height, width);
    assert.deepEqual(flipped, { flip: wanted.flip, down: 0, right: 0 });
  }
});

test('a changed picture has the pixels that it should', () => {
  for (const { shape, picture, changed, ...how } of vectors('pictures')) {
    const found = new Uint8Array(picture.length);
    change(Uint8Array.from(picture), found, shape, how);
    assert.deepEqual(Array.from(found), changed);
  }
});

test('a sound is moved and mixed by seed, epoch and place', () => {
  for (const { seed, epoch, index, length, noises, ...wanted } of vectors('sound_changes')) {
    const place = /** @type {const} */ ([BigInt(seed), epoch, index, length, noises]);
    assert.deepEqual(soundChangeOf(['shift', 'noise'], ...place), wanted);
    assert.deepEqual(soundChangeOf(['noise'], ...place), { ...wanted, later: 0 });
  }
});

test('a changed sound has the samples that it should', () => {
  for (const { sound, noise, changed, later, ...how } of vectors('sounds')) {
    const found = new Int16Array(sound.length);
    move(Int16Array.from(sound), found, later);
    addNoise(found, Int16Array.from(noise), how);
    assert.deepEqual(Array.from(found), changed);
  }
});

test('rates follow their schedule', () => {
  for (const { step, rate, ...plan } of vectors('rates')) near(learningRateAt(step, plan), rate, 1e-12);
});

test('some of a split are spread over it', () => {
  for (const { samples, count, indices } of vectors('spread')) assert.deepEqual(Array.from(spread(samples, count)), indices);
});

test('numbers are printed as in C', () => {
  for (const { value, text } of vectors('numbers')) assert.equal(general(value), text);
});

test('logits become probabilities', () => {
  for (const { how, logits, largest } of vectors('probabilities')) {
    near(largestProbability(Float32Array.from(logits), how), largest);
  }
});

test('outputs are scored', () => {
  for (const { target, batches, measures, each } of vectors('scores')) {
    const scores = scoresOf(target);
    for (const { outputs, targets } of batches) {
      scores.add(Float32Array.from(outputs), target.kind === 'class' ? BigInt64Array.from(targets, BigInt) : targets);
    }
    same(scores.result(), measures);
    assert.equal(scores.each().length, each.length);
    scores.each().forEach((found, place) => same(found, each[place]));
  }
});

test('a photograph becomes the pixels that Pillow makes of it', () => {
  for (const { width, height, pixels, preparation, prepared } of vectors('prepared')) {
    const found = centre({ width, height, channels: 3, data: Uint8Array.from(pixels) }, preparation);
    assert.deepEqual(Array.from(found.data), prepared);
  }
});

test('a line says what classes are worth', () => {
  for (const { names, each, line } of vectors('classes')) assert.equal(eachLine(names, each), line);
});
