// What the graphs are fed: samples, or features where a frozen backbone stands apart; training changes some.

import { Augmented } from './augmentation.js';
import { AugmentedSound } from './augmented_sound.js';
import { FormatError } from './errors.js';
import { Backbone, cached, live } from './features.js';
import { isPicture, isSound, sampleText } from './model.js';
import { OF_PICTURES, OF_SOUND } from './options.js';

/** @typedef {import('./dataset.js').Dataset} Dataset */
/** @typedef {import('./dataset.js').Split} Split */
/** @typedef {import('./plan.js').Plan} Plan */

const NO_NOISE = '--augment noise: it has none, which a folder _background_noise_ beside those of the classes would hold';

/**
 * @typedef {object} Inputs
 * @property {ReadonlyMap<string, Split>} splits each as it is
 * @property {(epoch: number) => Split} train the training split as it is trained on in an epoch
 * @property {string} final split of the last evaluation: validation, or test where there is no such split
 */

/**
 * @param {import('./platform.js').Platform} platform
 * @param {import('./package.js').Package} files
 * @param {Plan} plan
 * @param {import('./model.js').Model} model
 * @param {Dataset} dataset
 * @param {boolean} training false where only the final split is evaluated
 * @returns {Promise<Inputs>}
 */
export async function openInputs(platform, files, plan, model, dataset, training) {
  const final = dataset.splits.get('validation')?.length ? 'validation' : 'test';
  /** @type {Map<string, Split>} */
  const splits = new Map(dataset.splits);
  /** @type {(split: Split) => Split} */
  let through = (split) => split;
  if (model.features) {
    const backbone = await Backbone.open(files, platform.Tensor, plan.threads);
    through = (split) => live(split, backbone);
    // Features of splits that a run meets as they are, and may meet again.
    const again = training ? ['test', final, ...(plan.augment.length ? [] : ['train'])] : [final];
    for (const [name, split] of dataset.splits) {
      const kept = !plan.no_cache && again.includes(name);
      splits.set(name, kept ? await cached(split, backbone, model.features) : through(split));
    }
  }
  const augmented = await augmenting(dataset, plan);
  const train = (/** @type {number} */ epoch) =>
    plan.augment.length ? through(augmented(epoch)) : /** @type {Split} */ (splits.get('train'));
  return { splits, train, final };
}

/**
 * What `--augment` cannot do to a dataset.
 * @param {readonly string[]} kinds
 * @param {Dataset} dataset
 */
export async function unfitChanges(kinds, { sample, noise }) {
  const known = isPicture(sample) ? OF_PICTURES : isSound(sample) ? OF_SOUND : [];
  const wrong = kinds.filter((kind) => !known.includes(kind));
  if (wrong.length) {
    const changes = known.length ? `which ${known.join(' and ')} change` : 'which stay as they are';
    return [`--augment ${wrong} is not for samples of ${sampleText(sample)}, ${changes}`];
  }
  return kinds.includes('noise') && !(await noise()) ? [NO_NOISE] : [];
}

/**
 * The training split as it is in each epoch.
 * @param {Dataset} dataset
 * @param {Plan} plan
 * @returns {Promise<(epoch: number) => Split>}
 */
async function augmenting({ sample, splits, noise }, { augment, seed }) {
  const split = /** @type {Split} */ (splits.get('train'));
  if (!isSound(sample)) return (epoch) => new Augmented(split, sample.shape, augment, seed, epoch);
  const mixed = augment.includes('noise') ? await noise() : null;
  if (augment.includes('noise') && !mixed) throw new FormatError(NO_NOISE);
  return (epoch) => new AugmentedSound(split, sample.shape[0], augment, seed, epoch, mixed);
}
