// LeNet-5's step in TensorFlow.js on its WebAssembly backend, from the same weights, with the same batches and Adam.

import { fileIn } from '../web_runtime/browser.js';
import { partOf } from '../web_runtime/model.js';
import { Package } from '../web_runtime/package.js';
import { opened, serve } from './turns.js';

/** @typedef {import('../web_runtime/model.js').Model} Model */
/** @typedef {{height: number, width: number, scale: number, mean: number[], std: number[]}} Preprocessing */

serve(async ({ folder: address, threads }) => {
  const folder = new URL(address);
  for (const name of ['tf.js', 'tf-backend-wasm.js']) await import(new URL(`tfjs/${name}`, folder).href);
  const { tf } = /** @type {any} */ (globalThis);
  tf.wasm.setWasmPaths(new URL('tfjs/', folder).href);
  tf.wasm.setThreadsCount(threads);
  if (threads === 1) tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  if (!(await tf.setBackend('wasm'))) throw new Error('its WebAssembly does not start');
  addFilterGradient(tf);
  const read = fileIn(folder);
  const files = await Package.open({ read, session: () => Promise.reject(new Error('it has no sessions')) });
  const { model, start, batches } = await opened(files);
  const weights = weightsOf(tf, model, start.parameters);
  const into = await files.json('bench/preprocessing.json');
  // Made once, and no part of the step: of ours it is one.
  const images = batches.map(({ inputs }) => preprocessed(tf, inputs, into));
  const labels = batches.map(({ label }) => tf.oneHot(Array.from(label.data, Number), model.target.count));
  const optimizer = tf.train.adam(model.recipe.learning_rate, 0.9, 0.999, 1e-8);
  const trained = Object.values(weights);
  return {
    batches: batches.length,
    step: async (batch) =>
      tf.tidy(() => {
        const loss = () => tf.losses.softmaxCrossEntropy(labels[batch], logitsOf(tf, weights, images[batch]));
        return optimizer.minimize(loss, true, trained).dataSync()[0];
      }),
  };
});

/**
 * The gradient of a convolution's kernels, of stride 1 and without padding, which the backend lacks, as a convolution:
 * images stand for channels there, and channels for images.
 * @param {any} tf
 */
function addFilterGradient(tf) {
  tf.registerKernel({
    kernelName: 'Conv2DBackpropFilter',
    backendName: 'wasm',
    kernelFunc: (/** @type {any} */ { inputs: { x, dy } }) =>
      tf.tidy(() => {
        const kernels = tf.conv2d(tf.transpose(x, [3, 1, 2, 0]), tf.transpose(dy, [1, 2, 0, 3]), 1, 'valid');
        return tf.transpose(kernels, [1, 2, 0, 3]);
      }),
  });
}

/**
 * Rows of pixels as the model takes them.
 * @param {any} tf
 * @param {import('../web_runtime/platform.js').Values} inputs
 * @param {Preprocessing} into
 */
function preprocessed(tf, { data, dims }, { height, width, scale, mean, std }) {
  return tf.tidy(() => {
    const pixels = tf.mul(tf.tensor(Float32Array.from(data), dims), scale);
    return tf.image.resizeBilinear(tf.div(tf.sub(pixels, mean), std), [height, width], false, true);
  });
}

/**
 * The parameters of a checkpoint in the order of axes that TensorFlow.js has.
 * @param {any} tf
 * @param {Model} model
 * @param {Float32Array} parameters
 * @returns {Record<string, any>}
 */
function weightsOf(tf, model, parameters) {
  const named = model.parameters.map((place) => {
    const tensor = tf.tensor(partOf(parameters, place), [...place.shape]);
    return [place.name, tf.variable(tf.tidy(() => turned(tf, place.name, tensor)))];
  });
  return Object.fromEntries(named);
}

/** @param {any} tf @param {string} name @param {any} tensor */
function turned(tf, name, tensor) {
  const last = (/** @type {any} */ kernels) => tf.transpose(kernels, [2, 3, 1, 0]);
  if (name.startsWith('conv')) return last(tensor);
  // Channels come first where the model makes one row of them.
  if (name === 'fc1.weight') return tf.reshape(last(tf.reshape(tensor, [120, 16, 5, 5])), [400, 120]);
  return name.endsWith('weight') ? tf.transpose(tensor) : tensor;
}

/**
 * As pipeline/sources/models/lenet.py.
 * @param {any} tf
 * @param {Record<string, any>} weights
 * @param {any} images N×32×32×1
 */
function logitsOf(tf, weights, images) {
  let features = images;
  for (const name of ['conv1', 'conv2']) {
    features = tf.maxPool(tf.relu(tf.conv2d(features, weights[`${name}.weight`], 1, 'valid')), 2, 2, 'valid');
  }
  const dense = (/** @type {any} */ x, /** @type {string} */ name) =>
    tf.add(tf.matMul(x, weights[`${name}.weight`]), weights[`${name}.bias`]);
  const hidden = tf.relu(dense(tf.reshape(features, [features.shape[0], -1]), 'fc1'));
  return dense(tf.relu(dense(hidden, 'fc2')), 'fc3');
}
