// What the graphs are fed: samples, or features where a frozen backbone stands apart; training pictures may be changed.

import { Augmented } from './augmentation.js';
import { Backbone, cached, live } from './features.js';

/** @typedef {import('./dataset.js').Split} Split */

/**
 * @typedef {object} Inputs
 * @property {ReadonlyMap<string, Split>} splits each as it is
 * @property {(epoch: number) => Split} train the training split as it is trained on in an epoch
 * @property {string} final split of the last evaluation: validation, or test where there is no such split
 */

/**
 * @param {import('./platform.js').Platform} platform
 * @param {import('./package.js').Package} files
 * @param {import('./plan.js').Plan} plan
 * @param {import('./model.js').Model} model
 * @param {import('./dataset.js').Dataset} dataset
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
  const pictures = /** @type {Split} */ (dataset.splits.get('train'));
  const train = (/** @type {number} */ epoch) => {
    if (!plan.augment.length) return /** @type {Split} */ (splits.get('train'));
    return through(new Augmented(pictures, dataset.sample.shape, plan.augment, plan.seed, epoch));
  };
  return { splits, train, final };
}
