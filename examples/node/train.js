// Trains the model of a package in Node: `node train.js PACKAGE OUTPUT --cycles 300`.

import ort from 'onnxruntime-node';

import { nodePlatform } from '../../web_runtime/node.js';
import { parse } from '../../web_runtime/options.js';
import { FormatError, train } from '../../web_runtime/trainer.js';

const [folder, output, ...words] = process.argv.slice(2);
try {
  const platform = await nodePlatform(ort, folder, output);
  const { checkpoint } = await train(platform, parse(words));
  if (checkpoint) console.log(`trained: ${output}/${checkpoint}`);
} catch (error) {
  if (!(error instanceof FormatError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
