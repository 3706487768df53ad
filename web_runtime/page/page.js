// The page of a package: does what the program asks for that opened it, or, served by another one, what its user does.

import { fileIn } from '../browser.js';
import { stepIn } from '../checkpoint.js';
import { databaseOutput } from '../database.js';
import { openDataset } from '../dataset.js';
import { METRICS, lastStart, readRecords } from '../metrics.js';
import { readModel } from '../model.js';
import { Package } from '../package.js';
import { Host, visitor } from './host.js';
import { View, part } from './view.js';
import { wrongOf } from './wrong.js';

/** @typedef {import('./host.js').Job} Job */

const FOLDER = new URL('.', location.href);
const DATABASE = 'train-on-device';
// The job that this page does, for when it is loaded again.
const REMEMBERED = 'train-on-device job';

const DOING = /** @type {Record<string, string>} */ ({
  'eval_untrained.sh': 'Evaluating the untrained model',
  'train.sh': 'Training',
  'eval.sh': 'Evaluating the trained model',
});

const view = new View();
const host = new Host(FOLDER);
const session = () => Promise.reject(new Error('graphs are opened in the worker'));
const files = await Package.open({ read: fileIn(FOLDER), session });
const [model, dataset] = await Promise.all([readModel(files), openDataset(files)]);
const output = await databaseOutput(DATABASE);

/** @type {{worker: Worker, job: Job} | null} */
let current = null;
let alone = false;
let paused = false;

/** @param {Job} job */
function begin(job) {
  if (current?.job.id === job.id) return;
  current?.worker.terminate();
  const worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
  current = { worker, job };
  const again = localStorage.getItem(REMEMBERED) === job.id;
  localStorage.setItem(REMEMBERED, job.id);
  if (job.task === 'train.sh') view.clear();
  paused = false;
  show();
  worker.onmessage = ({ data }) => {
    if (data.line !== undefined) say(job, data.line);
    if (data.record) view.record(data.record);
    if (data.code !== undefined) void end(job, data.code);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    say(job, `error: the page's thread ended (${event.message || 'it may have run out of memory'})`);
    void end(job, 1);
  };
  const task = { folder: FOLDER.href, database: DATABASE, mirror: !alone, again, job };
  worker.postMessage({ task });
}

/** @param {Job} job @param {string} line */
function say(job, line) {
  view.log(line);
  if (!alone) host.say(job.id, line);
}

/** @param {Job} job @param {number} code */
async function end(job, code) {
  if (current?.job !== job) return;
  current.worker.terminate();
  current = null;
  show(code ? 'This failed: the log says why.' : `${DOING[job.task]}: done.`);
  if (job.task === 'train.sh' && !code) await showTrained();
  if (!alone) await host.end(job.id, code);
}

/** @param {string} [text] */
function show(text) {
  part('pause').hidden = current?.job.task !== 'train.sh';
  part('pause').textContent = paused ? 'Go on' : 'Pause';
  part('start').hidden = !alone || current !== null;
  view.state(text ?? (current ? `${DOING[current.job.task]}${paused ? ': paused' : '…'}` : 'Waiting for the computer.'));
}

/** Downloads and mistakes of the training that is in the browser. */
async function showTrained() {
  const names = await output.names();
  const steps = names.map((name) => stepIn(model, name)).filter((step) => step !== null);
  const last = (await readRecords(output)).findLast(({ event }) => event === 'checkpoint' || event === 'best');
  if (!last || !steps.length) return;
  await offer('checkpoint', last.file, 'application/octet-stream');
  await offer('metrics', METRICS, 'application/jsonl');
  part('downloads').hidden = false;
  const predictions = names.includes(`predictions_${last.step}.bin`) && (await output.read(`predictions_${last.step}.bin`));
  const wrong = predictions && wrongOf(dataset, predictions);
  if (!wrong) return;
  part('wrong-about').textContent = wrong.about;
  part('wrong-pictures').replaceChildren(...(await Promise.all(wrong.items)));
  part('wrong').hidden = false;
}

/** @param {string} id @param {string} name @param {string} type */
async function offer(id, name, type) {
  const link = /** @type {HTMLAnchorElement} */ (part(id));
  const content = await output.read(name);
  if (!content) return;
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([/** @type {BlobPart} */ (content)], { type }));
  link.download = name;
}

/** The page of a folder that another server gives: its user trains. */
async function offerToTrain() {
  alone = true;
  const records = await readRecords(output);
  const ended = records[records.length - 1]?.event === 'end';
  const goesOn = lastStart(records)?.package === files.digest && !ended;
  part('start').textContent = goesOn ? 'Go on' : 'Train';
  part('start').onclick = () => {
    const words = goesOn ? ['--resume'] : [...new URLSearchParams(location.search)].map(([name, value]) => `--${name}=${value}`);
    begin({ id: crypto.randomUUID(), task: 'train.sh', words, files: [], clear: !goesOn });
  };
  show('Ready.');
  if (goesOn || ended) for (const record of records) view.record(record);
  if (ended) await showTrained();
}

part('pause').onclick = () => {
  paused = !paused;
  current?.worker.postMessage({ pause: paused });
  show();
};

const { count, kind } = model.target;
const samples = [...dataset.splits].map(([name, { length }]) => `${length.toLocaleString('en')} to ${name}`);
document.title = part('title').textContent = `Training ${model.name}`;
part('about').textContent = `${count} ${kind === 'class' ? 'classes' : kind}; samples: ${samples.join(', ')}.`;

part('teach').hidden = !files.has('teach.html');

await host.follow(visitor(), {
  onJob: begin,
  onAlone: () => void offerToTrain(),
  onOver() {
    const cut = current !== null;
    current?.worker.terminate();
    current = null;
    part('teach').hidden = true;
    show(cut ? 'The computer ended this.' : 'Done: the results are on the computer. This page can be closed.');
  },
  onState(state) {
    if (state === 'away') view.state('The computer does not answer: waiting for it.');
    else if (state === 'taken') view.state('Another page has this training: close it, or use it.');
    else show();
  },
});
