// The runner's platform in Node: folders, and onnxruntime-node, which is given.

import { webcrypto } from 'node:crypto';
import { appendFile, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

// Node 18 has no global one, as browsers have.
globalThis.crypto ??= /** @type {Crypto} */ (webcrypto);

/** @typedef {import('./platform.js').Platform} Platform */

/**
 * @typedef {object} Runtime what is taken of onnxruntime-node
 * @property {{create: (path: string, options: any) => Promise<import('./platform.js').Session>}} InferenceSession
 * @property {Platform['Tensor']} Tensor
 */

/**
 * @param {Runtime} runtime
 * @param {string} folder the package
 * @param {string} output takes checkpoints and metrics
 * @returns {Promise<Platform>}
 */
export async function nodePlatform(runtime, folder, output) {
  await mkdir(output, { recursive: true });
  return {
    read: (path) => readIfThere(join(folder, path)),
    output: folderOutput(output),
    // By its path: frozen weights are read by the runtime itself.
    session: ({ path }, options) => runtime.InferenceSession.create(join(folder, path), options),
    Tensor: runtime.Tensor,
    cpus: availableParallelism(),
    now: () => performance.now(),
    time: () => Date.now() / 1000,
    say: (line) => console.log(line),
    record: () => {},
    between: () => new Promise(setImmediate),
  };
}

/**
 * @param {string} folder
 * @returns {import('./platform.js').Output}
 */
function folderOutput(folder) {
  const names = async () => {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.')).map(({ name }) => name);
  };
  return {
    names,
    read: (name) => readIfThere(join(folder, name)),
    async write(name, content) {
      const temporary = join(folder, `.${name}.${process.pid}`);
      const file = await open(temporary, 'w');
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, join(folder, name));
    },
    append: (name, text) => appendFile(join(folder, name), text, { flush: true }),
    remove: (name) => rm(join(folder, name), { force: true }),
    async setAside(within) {
      await mkdir(join(folder, within), { recursive: true });
      for (const name of await names()) await rename(join(folder, name), join(folder, within, name));
    },
  };
}

/**
 * @param {string} path
 * @returns {Promise<Uint8Array | null>} null where there is no such file
 */
const readIfThere = (path) =>
  readFile(path).catch((error) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
