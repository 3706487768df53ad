// The lowered engine's step, in onnxruntime-web.

import { browserPlatform } from '../web_runtime/browser.js';
import { databaseOutput } from '../web_runtime/database.js';
import { Engine } from '../web_runtime/engine.js';
import { Package } from '../web_runtime/package.js';
import { opened, serve } from './turns.js';

serve(async ({ folder: address, threads }) => {
  const folder = new URL(address);
  const runtime = await import(new URL('runtime/ort.wasm.min.mjs', folder).href);
  const platform = browserPlatform(runtime, { folder, output: await databaseOutput('bench'), say: () => {} });
  const files = await Package.open(platform);
  const { model, start, batches } = await opened(files);
  const { batch_size: size, learning_rate: rate } = model.recipe;
  const engine = new Engine(files, platform.Tensor, model, start, size, Math.min(threads, platform.cpus));
  return { step: (batch, step) => engine.train([batches[batch]], rate, step), batches: batches.length };
});
