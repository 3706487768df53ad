// The worker of the page: does one thing after another that it is asked for, and answers each by its number.

import { browserPlatform } from '../browser.js';
import { Teacher } from './teacher.js';

/** @typedef {import('./asking.js').Question} Question */

// As many as the runner takes where nobody says how many.
const MOST_THREADS = 2;

const nothing = async () => {};
/** @type {import('../platform.js').Output} nothing is written: the page keeps what there is to keep */
const output = { names: async () => [], read: async () => null, write: nothing, append: nothing, remove: nothing, setAside: nothing };

const folder = new URL('../../', import.meta.url);
const teacher = open();
// Whoever asks is told.
teacher.catch(() => {});

async function open() {
  const runtime = await import(new URL('runtime/ort.wasm.min.mjs', folder).href);
  const platform = browserPlatform(runtime, { folder, output, say: () => {} });
  return Teacher.open(platform, Math.min(MOST_THREADS, platform.cpus));
}

/** What was asked for before: sessions of one runtime take turns. @type {Promise<void>} */
let before = Promise.resolve();

/** Numbers of what is to end. @type {Set<number>} */
const stopped = new Set();

addEventListener('message', ({ data }) => {
  // At once: what it ends is what others wait for.
  if (data.what === 'stop') stopped.add(data.number);
  else before = before.then(() => answer(data));
});

/** @param {Question & {number: number}} question */
async function answer(question) {
  const { number } = question;
  try {
    postMessage({ number, answer: await answerOf(await teacher, question) });
  } catch (error) {
    postMessage({ number, error: String(/** @type {Error} */ (error).message ?? error) });
  }
}

/**
 * @param {Teacher} known
 * @param {Question & {number: number}} question
 */
function answerOf(known, question) {
  switch (question.what) {
    case 'subject':
      return known.subject;
    case 'see':
      return known.see(question.picture);
    case 'recognise':
      return known.recognise(question.picture, question.classes);
    case 'restore':
      return known.restore(question.checkpoint);
    case 'teach': {
      const { number, rows, labels, wishes } = question;
      const isStopped = () => stopped.has(number);
      return known.teach(rows, labels, wishes, (progress) => postMessage({ number, progress }), isStopped);
    }
  }
}
