// The thread that trains: one job of the page's, from its start to its end.

import { browserPlatform, turn } from '../browser.js';
import { databaseOutput } from '../database.js';
import { lastStart, readRecords } from '../metrics.js';
import { checked, parse } from '../options.js';
import { FormatError, train } from '../trainer.js';
import { bring, mirrored } from './mirror.js';

/**
 * @typedef {object} Task
 * @property {string} folder address of the package
 * @property {string} database
 * @property {boolean} mirror whether a program takes what is written
 * @property {boolean} again whether the page was loaded again while this job ran
 * @property {import('./host.js').Job} job
 */

/** @type {Promise<void> | null} ends when the training goes on */
let paused = null;
let goOn = () => {};

self.onmessage = ({ data }) => {
  if ('pause' in data) pause(data.pause);
  else void run(data.task);
};

/** @param {boolean} on */
function pause(on) {
  if (!on) {
    paused = null;
    goOn();
  } else if (!paused) {
    paused = new Promise((resolve) => (goOn = resolve));
  }
}

/** @param {Task} task */
async function run({ folder: address, database, mirror, again, job }) {
  try {
    const folder = new URL(address);
    const kept = await databaseOutput(database);
    let options = parse(job.words);
    if (again && job.task === 'train.sh' && lastStart(await readRecords(kept))) {
      options = checked({ resume: true });
    } else {
      if (job.clear) await kept.clear();
      await bring(kept, folder, job.files);
    }
    const platform = browserPlatform(await import(new URL('runtime/ort.wasm.min.mjs', folder).href), {
      folder,
      output: mirror ? mirrored(kept, folder) : kept,
      say: (line) => postMessage({ line }),
      record: (record) => postMessage({ record }),
      async between() {
        await turn();
        while (paused) await paused;
      },
    });
    await train(platform, options);
    postMessage({ code: 0 });
  } catch (error) {
    const told = error instanceof FormatError ? error.message : `${error}`;
    postMessage({ line: `error: ${told}` });
    postMessage({ code: 1 });
  }
}
