// Measures what the program asks for, in workers that stay: each has its engine, and its number of threads.

import { Host, visitor } from '../web_runtime/page/host.js';

/** @type {Map<string, Worker>} */
const workers = new Map();

const folder = new URL('./', location.href);
const host = new Host(folder);
let known = '';

void host.follow(visitor(), {
  onJob(job) {
    if (job.id !== known) void answer(job);
    known = job.id;
  },
  onAlone() {},
  onOver() {},
  onState() {},
});

/** @param {import('../web_runtime/page/host.js').Job} job whose words are the engine, its threads, and the seconds of a turn */
async function answer({ id, words: [engine, threads, seconds] }) {
  try {
    host.say(id, JSON.stringify(await measured(engine, Number(threads), Number(seconds))));
    await host.end(id, 0);
  } catch (error) {
    host.say(id, `error: ${/** @type {Error} */ (error).message}`);
    await host.end(id, 1);
  }
}

/**
 * @param {string} engine
 * @param {number} threads
 * @param {number} seconds
 * @returns {Promise<import('./turns.js').Turn>}
 */
function measured(engine, threads, seconds) {
  const name = `${engine} ${threads}`;
  const worker = workers.get(name) ?? new Worker(new URL(`bench/${engine}.js`, folder), { type: 'module', name });
  workers.set(name, worker);
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => ('error' in data ? reject(new Error(data.error)) : resolve(data));
    worker.onerror = (event) => reject(new Error(event.message || `${engine}.js cannot be loaded`));
    worker.postMessage({ folder: folder.href, threads, seconds });
  });
}
