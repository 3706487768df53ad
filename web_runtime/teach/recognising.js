// What the head says of pictures: a card for each, with a bar for each class.

import { openCamera } from './camera.js';
import { byId, copied, messageOf, part, show } from './page.js';

/** @typedef {import('./asking.js').Asked} Asked */
/** @typedef {import('./lessons.js').Lessons} Lessons */

// Of several pictures, so many classes are shown of each.
const FOREMOST = 3;

/** The last part of the page. */
export class Recognising {
  /**
   * @param {Asked} asked
   * @param {Lessons} lessons
   */
  constructor(asked, lessons) {
    this._asked = asked;
    this._lessons = lessons;
    this._files = byId('recognise', HTMLInputElement);
    this._live = byId('live', HTMLButtonElement);
    this._results = byId('results', HTMLElement);
    this._line = byId('recognised', HTMLElement);
    /** @type {import('./camera.js').Camera | null} */
    this._camera = null;
    this._files.addEventListener('change', () => {
      this._recognise([...(this._files.files ?? [])]);
      this._files.value = '';
    });
    this._live.addEventListener('click', () => (this._camera ? this._camera.close() : this._watch()));
  }

  /** Shows whether there is a head to recognise with. */
  update() {
    const none = this._lessons.head === null;
    this._files.disabled = this._live.disabled = none;
    if (!none) return;
    this._camera?.close();
    this._results.replaceChildren();
    this._line.textContent = 'There is nothing to recognise yet: teach some classes first.';
  }

  /** Says nothing of pictures any more: another head was taught. */
  forget() {
    this._results.replaceChildren();
    this._line.textContent = '';
  }

  /** @param {readonly File[]} files */
  async _recognise(files) {
    this.forget();
    const unreadable = [];
    for (let place = 0; place < files.length; place++) {
      this._line.textContent = `Looking at photograph ${place + 1} of ${files.length}`;
      try {
        const card = copied('result');
        const found = await this._probabilities(files[place]);
        fill(card, files[place].name, found, this._lessons.known, files.length > 1 ? FOREMOST : Infinity);
        this._results.append(card);
      } catch (error) {
        unreadable.push(`${files[place].name}: ${messageOf(error)}`);
      }
    }
    this._line.textContent = unreadable.length ? `Not recognised: ${unreadable.join('; ')}` : '';
  }

  /** Recognises what the camera sees, again and again. */
  async _watch() {
    this.forget();
    const place = byId('live-view', HTMLElement);
    const said = () => {
      this._live.setAttribute('aria-pressed', String(this._camera !== null));
      this._live.textContent = this._camera ? 'Close the camera' : 'Live camera';
    };
    const closed = () => {
      this._camera = null;
      said();
    };
    try {
      const camera = (this._camera = await openCamera(place, closed));
      said();
      part(place, '.take', HTMLButtonElement).remove();
      const card = copied('result');
      part(card, 'img', HTMLImageElement).remove();
      place.append(card);
      while (this._camera === camera) {
        const found = await this._probabilities(await createImageBitmap(camera.video));
        fill(card, '', found, this._lessons.known, Infinity);
        // As often as the screen is drawn at most, and not at all while nobody sees it.
        await new Promise(requestAnimationFrame);
      }
    } catch (error) {
      this._camera?.close();
      this._line.textContent = messageOf(error);
    }
  }

  /** @param {File | ImageBitmap} picture */
  _probabilities(picture) {
    return this._asked.recognise(picture, this._lessons.known.length);
  }
}

/**
 * @param {HTMLElement} card
 * @param {string} name of the picture
 * @param {import('./asking.js').Recognised} found
 * @param {readonly string[]} classes by output
 * @param {number} most so many of them are shown, the others folded away
 */
function fill(card, name, { probabilities, thumbnail }, classes, most) {
  const image = card.querySelector('img');
  if (image) {
    image.alt = name;
    show(image, thumbnail);
  }
  const order = probabilities.map((_, output) => output).sort((one, other) => probabilities[other] - probabilities[one]);
  const bars = order.map((output) => barOf(classes[output], probabilities[output]));
  const rest = part(card, 'details', HTMLDetailsElement);
  part(card, 'h3', HTMLElement).textContent = classes[order[0]];
  part(card, '.bars', HTMLElement).replaceChildren(...bars.slice(0, most));
  part(rest, '.bars', HTMLElement).replaceChildren(...bars.slice(most));
  part(rest, 'summary', HTMLElement).textContent = `${bars.length - most} others`;
  rest.hidden = bars.length <= most;
}

/**
 * @param {string} name of the class
 * @param {number} probability
 */
function barOf(name, probability) {
  const [row, term, told] = [document.createElement('div'), document.createElement('dt'), document.createElement('dd')];
  term.textContent = name;
  told.textContent = `${(100 * probability).toFixed(1)} %`;
  row.style.setProperty('--share', `${100 * probability}%`);
  row.append(term, told);
  return row;
}
