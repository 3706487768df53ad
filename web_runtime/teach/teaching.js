// The part of the page that teaches: a new head each time, of all photographs that there are.

import { byId, counted, messageOf } from './page.js';

/** @typedef {import('./lessons.js').Lessons} Lessons */

/** Buttons, options and progress. */
export class Teaching {
  /**
   * @param {import('./asking.js').Asked} asked
   * @param {Lessons} lessons
   * @param {import('./teacher.js').Subject} subject
   * @param {() => void} onTaught
   */
  constructor(asked, lessons, subject, onTaught) {
    this._asked = asked;
    this._lessons = lessons;
    this._onTaught = onTaught;
    this._teaches = false;
    this._button = byId('teach', HTMLButtonElement);
    this._stop = byId('stop', HTMLButtonElement);
    this._progress = byId('progress', HTMLProgressElement);
    this._told = byId('told', HTMLElement);
    this._cycles = byId('cycles', HTMLInputElement);
    this._rate = byId('rate', HTMLInputElement);
    this._cycles.value = String(subject.cycles);
    this._rate.value = String(subject.learning_rate);
    this._button.addEventListener('click', () => this._teach());
    this._stop.addEventListener('click', () => asked.stop());
  }

  /** Shows what can be done now, and what there is to say of it. */
  update() {
    const { shown, head, photographs, changed } = this._lessons;
    this._button.disabled = this._teaches || shown.length < 2;
    this._stop.hidden = this._progress.hidden = !this._teaches;
    byId('download', HTMLButtonElement).disabled = this._teaches || !head;
    byId('clear', HTMLButtonElement).disabled = this._teaches || !(photographs.length || head);
    if (this._teaches) return;
    if (shown.length < 2) this._told.textContent = 'Add photographs to at least two classes.';
    else if (!head) this._told.textContent = `Ready: ${counted(photographs.length, 'photograph')} of ${shown.length} classes.`;
    else if (changed) this._told.textContent = 'Photographs came or went since: teach again to have them count.';
    else this._told.textContent = `Taught ${head.classes.length} classes in ${counted(head.step, 'update')}.`;
  }

  async _teach() {
    if (![this._cycles, this._rate].every((field) => field.reportValidity())) return;
    const { classes, ids, labels, rows } = this._lessons.taught;
    const [cycles, learning_rate] = [this._cycles.valueAsNumber, this._rate.valueAsNumber];
    const wishes = { cycles, learning_rate, names: classes.map(({ name }) => name) };
    this._teaches = true;
    this._progress.value = 0;
    this._told.textContent = 'Opening the head';
    this.update();
    let [done, failed] = [false, ''];
    try {
      const taught = await this._asked.teach(rows, labels, wishes, ({ step, last, loss }) => {
        this._progress.value = step / last;
        this._told.textContent = `Update ${step} of ${last}: loss ${loss.toPrecision(3)}`;
      });
      if (taught) {
        done = true;
        const { step, checkpoint } = taught;
        await this._lessons.keepHead({ classes: classes.map((each) => ({ ...each })), step, photographs: ids, checkpoint });
      }
    } catch (error) {
      failed = messageOf(error);
    }
    const { head } = this._lessons;
    // What recognised before goes on doing so.
    if (!done && head) await this._asked.restore(head.checkpoint);
    this._teaches = false;
    this._onTaught();
    if (failed) this._told.textContent = failed;
  }
}
