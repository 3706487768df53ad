// A card for each class: its name, its photographs, and how more of them come.

import { closeCamera, openCamera } from './camera.js';
import { copied, counted, messageOf, part, show } from './page.js';

/** @typedef {import('./lessons.js').Lessons} Lessons */
/** @typedef {import('./lessons.js').TaughtClass} TaughtClass */
/** @typedef {import('./lessons.js').Photograph} Photograph */

/**
 * What a card asks of the page.
 * @typedef {object} Wants
 * @property {(of: TaughtClass, pictures: readonly (File | ImageBitmap)[]) => void} add
 * @property {(of: TaughtClass, name: string) => void} rename
 * @property {(of: TaughtClass) => void} removeClass
 * @property {(photograph: Photograph) => void} remove
 * @property {(line: string) => void} tell
 */

/** Keeps the cards of a page like the lessons: what did not change is left alone, an open camera too. */
export class Cards {
  /**
   * @param {HTMLElement} place
   * @param {Lessons} lessons
   * @param {Wants} wants
   */
  constructor(place, lessons, wants) {
    this._place = place;
    this._lessons = lessons;
    this._wants = wants;
    /** @type {Map<number, HTMLElement>} by class */
    this._cards = new Map();
    /** @type {Map<number, Map<number, HTMLElement>>} of each class, by photograph */
    this._pictures = new Map();
  }

  /** Shows what there is now. */
  update() {
    const { classes } = this._lessons;
    kept(this._place, this._cards, classes, (each) => this._card(each));
    for (const { id } of classes) {
      const card = /** @type {HTMLElement} */ (this._cards.get(id));
      const own = this._lessons.of(id);
      const pictures = this._pictures.get(id) ?? new Map();
      this._pictures.set(id, pictures);
      part(card, '.count', HTMLOutputElement).textContent = counted(own.length, 'photograph');
      kept(part(card, '.pictures', HTMLUListElement), pictures, own, (photograph) => this._picture(photograph));
    }
  }

  /** @param {TaughtClass} of */
  _card(of) {
    const card = copied('class-card');
    const [wants, name] = [this._wants, part(card, '.name input', HTMLInputElement)];
    name.value = of.name;
    name.addEventListener('change', () => {
      name.value = name.value.trim() || of.name;
      wants.rename(of, name.value);
      label();
    });
    const label = () => card.setAttribute('aria-label', name.value);
    label();
    const files = part(card, 'input[type=file]', HTMLInputElement);
    files.addEventListener('change', () => {
      wants.add(of, [...(files.files ?? [])]);
      // The same files may be chosen again.
      files.value = '';
    });
    part(card, '.remove', HTMLButtonElement).addEventListener('click', () => wants.removeClass(of));
    this._camera(card, of);
    return card;
  }

  /** @param {HTMLElement} card @param {TaughtClass} of */
  _camera(card, of) {
    const [button, place] = [part(card, '.camera', HTMLButtonElement), part(card, '.viewfinder', HTMLElement)];
    /** @type {import('./camera.js').Camera | null} */
    let camera = null;
    const said = () => {
      button.setAttribute('aria-pressed', String(camera !== null));
      button.textContent = camera ? 'Close the camera' : 'Camera';
    };
    const closed = () => {
      camera = null;
      said();
    };
    button.addEventListener('click', async () => {
      if (camera) return camera.close();
      try {
        const { video } = (camera = await openCamera(place, closed));
        part(place, '.take', HTMLButtonElement).addEventListener('click', async () => {
          this._wants.add(of, [await createImageBitmap(video)]);
        });
      } catch (error) {
        this._wants.tell(messageOf(error));
      }
      said();
    });
  }

  /** @param {Photograph} photograph */
  _picture(photograph) {
    const item = document.createElement('li');
    const image = document.createElement('img');
    image.alt = photograph.name;
    show(image, photograph.thumbnail);
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = '×';
    button.setAttribute('aria-label', `Remove ${photograph.name}`);
    button.addEventListener('click', () => this._wants.remove(photograph));
    item.append(image, button);
    return item;
  }
}

/**
 * Has a place show an element for each thing, in their order; those that stay are not touched.
 * @template {{id: number}} T
 * @param {HTMLElement} place
 * @param {Map<number, HTMLElement>} elements
 * @param {readonly T[]} things
 * @param {(thing: T) => HTMLElement} made
 */
function kept(place, elements, things, made) {
  const ids = new Set(things.map(({ id }) => id));
  for (const [id, element] of elements) {
    if (ids.has(id)) continue;
    closeCamera(element);
    element.remove();
    elements.delete(id);
  }
  for (const thing of things) {
    if (elements.has(thing.id)) continue;
    const element = made(thing);
    elements.set(thing.id, element);
    place.append(element);
  }
}
