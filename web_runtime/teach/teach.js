// The page: classes and their photographs, teaching, recognising. What is heavy happens in the worker.

import { databaseOutput } from '../database.js';
import { trainedName } from '../checkpoint.js';
import { Asked } from './asking.js';
import { Cards } from './cards.js';
import { Lessons } from './lessons.js';
import { byId, counted, messageOf } from './page.js';
import { Recognising } from './recognising.js';
import { Teaching } from './teaching.js';

/** @typedef {import('./lessons.js').TaughtClass} TaughtClass */

const asked = new Asked(new Worker(new URL('worker.js', import.meta.url), { type: 'module' }));

try {
  await open();
} catch (error) {
  const notice = byId('notice', HTMLElement);
  notice.textContent = messageOf(error);
  notice.hidden = false;
}

async function open() {
  const subject = await asked.subject();
  const lessons = await Lessons.open(await databaseOutput(`teach-${subject.digest}`));
  if (lessons.head) await asked.restore(lessons.head.checkpoint);
  const [add, seen] = [byId('add-class', HTMLButtonElement), byId('seen', HTMLElement)];
  const tell = (/** @type {string} */ line) => (seen.textContent = line);
  const look = looking(lessons, () => update(), tell);
  const after = (/** @type {Promise<void>} */ done) => done.then(update, (error) => tell(messageOf(error)));
  const cards = new Cards(byId('classes', HTMLElement), lessons, {
    add: look,
    rename: (of, name) => after(lessons.rename(of.id, name)),
    removeClass: (of) => after(lessons.removeClass(of.id)),
    remove: (photograph) => after(lessons.remove(photograph.id)),
    tell,
  });
  const recognising = new Recognising(asked, lessons);
  const teaching = new Teaching(asked, lessons, subject, () => {
    recognising.forget();
    update();
  });
  const update = () => {
    cards.update();
    teaching.update();
    recognising.update();
    const left = subject.outputs - lessons.classes.length;
    add.disabled = left <= 0;
    byId('room', HTMLElement).textContent =
      `This network tells at most ${subject.outputs} classes apart` + (left > 0 ? `: room for ${left} more.` : '.');
  };
  add.addEventListener('click', () => after(lessons.addClass(`Class ${lessons.classes.length + 1}`)));
  const clearing = byId('clearing', HTMLDialogElement);
  byId('clear', HTMLButtonElement).addEventListener('click', () => {
    const photographs = counted(lessons.photographs.length, 'photograph');
    byId('clearing-text', HTMLElement).textContent = `Remove all classes, ${photographs} and the head that was taught?`;
    clearing.returnValue = '';
    clearing.showModal();
  });
  clearing.addEventListener('close', () => {
    if (clearing.returnValue !== 'clear') return;
    tell('');
    after(lessons.clear());
  });
  byId('download', HTMLButtonElement).addEventListener('click', () => {
    if (lessons.head) download(trainedName(subject, lessons.head.step), lessons.head.checkpoint);
  });
  update();
}

/**
 * What takes photographs into a class: each passes the backbone once, in the order in which they came.
 * @param {Lessons} lessons
 * @param {() => void} update
 * @param {(line: string) => void} tell
 * @returns {(of: TaughtClass, pictures: readonly (File | ImageBitmap)[]) => Promise<void>}
 */
function looking(lessons, update, tell) {
  let [waiting, done] = [0, 0];
  /** @type {string[]} */
  let unreadable = [];
  return async (of, pictures) => {
    if (!waiting) [done, unreadable] = [0, []];
    waiting += pictures.length;
    for (const picture of pictures) {
      const name = picture instanceof File ? picture.name : 'a picture of the camera';
      tell(`Looking at photograph ${done + 1} of ${done + waiting}`);
      try {
        await lessons.add(of.id, name, await asked.see(picture));
      } catch (error) {
        unreadable.push(`${name}: ${messageOf(error)}`);
      }
      waiting--;
      done++;
      update();
    }
    if (!waiting) tell(unreadable.length ? `Left out: ${unreadable.join('; ')}` : '');
  };
}

/**
 * @param {string} name
 * @param {Uint8Array} content
 */
function download(name, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([/** @type {BlobPart} */ (content)]));
  link.download = name;
  link.click();
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
