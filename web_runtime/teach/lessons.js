// What was taught: classes, of each photograph its features, and the head. All of it is kept in the browser.

import { bytesOf, joined } from '../text.js';

/** @typedef {{id: number, name: string}} TaughtClass */
/** @typedef {{id: number, of: number, name: string, features: Float32Array, thumbnail: Blob}} Photograph of: its class */

/**
 * @typedef {object} Head
 * @property {readonly TaughtClass[]} classes by output
 * @property {number} step updates made
 * @property {readonly number[]} photographs that it was taught with
 * @property {Uint8Array} checkpoint
 */

/** @typedef {Pick<import('../platform.js').Output, 'read' | 'write' | 'remove'> & {clear: () => Promise<void>}} Store */

const INDEX = 'lessons.json';
const HEAD = 'head.safetensors';

/** @param {number} id of a photograph */
const fileOf = (id) => `photograph_${id}`;

/** Classes and photographs, as the page shows them. */
export class Lessons {
  /**
   * What was kept before, or two classes without photographs.
   * @param {Store} store
   */
  static async open(store) {
    const lessons = new Lessons(store);
    const bytes = await store.read(INDEX);
    if (bytes) await lessons._read(JSON.parse(new TextDecoder().decode(bytes)));
    else lessons._begin();
    return lessons;
  }

  /** @param {Store} store */
  constructor(store) {
    this._store = store;
    this._next = 1;
    /** @type {TaughtClass[]} */
    this.classes = [];
    /** @type {Photograph[]} */
    this.photographs = [];
    /** @type {Head | null} */
    this.head = null;
  }

  /** Classes that have photographs: those that a head is taught. */
  get shown() {
    return this.classes.filter(({ id }) => this.of(id).length);
  }

  /** Whether photographs or classes came or went since the head was taught. */
  get changed() {
    const { head, photographs } = this;
    return head !== null && photographs.map(({ id }) => id).join() !== head.photographs.join();
  }

  /** @param {number} id of a class */
  of(id) {
    return this.photographs.filter((photograph) => photograph.of === id);
  }

  /** The classes that the head tells apart, by output, as they are called now. */
  get known() {
    return (this.head?.classes ?? []).map(({ id, name }) => this.classes.find((each) => each.id === id)?.name ?? name);
  }

  /** What a head is taught with: by class. */
  get taught() {
    const { shown } = this;
    const pictures = shown.flatMap(({ id }, label) => this.of(id).map((picture) => ({ picture, label })));
    return {
      classes: shown,
      ids: this.photographs.map(({ id }) => id),
      labels: pictures.map(({ label }) => label),
      rows: joinedRows(pictures.map(({ picture }) => picture.features)),
    };
  }

  /** @param {string} name */
  async addClass(name) {
    this.classes.push({ id: this._next++, name });
    await this._save();
  }

  /** @param {number} id @param {string} name */
  async rename(id, name) {
    for (const each of this.classes) if (each.id === id) each.name = name;
    await this._save();
  }

  /** @param {number} id */
  async removeClass(id) {
    const gone = this.of(id);
    this.classes = this.classes.filter((each) => each.id !== id);
    this.photographs = this.photographs.filter((each) => each.of !== id);
    await this._save();
    for (const photograph of gone) await this._store.remove(fileOf(photograph.id));
  }

  /** @param {number} of a class @param {string} name @param {import('./teacher.js').Seen} seen */
  async add(of, name, { features, thumbnail }) {
    const id = this._next++;
    await this._store.write(fileOf(id), joined([features, new Uint8Array(await thumbnail.arrayBuffer())]));
    // It may have been removed while its picture was looked at.
    if (!this.classes.some((each) => each.id === of)) return this._store.remove(fileOf(id));
    this.photographs.push({ id, of, name, features, thumbnail });
    await this._save();
  }

  /** @param {number} id of a photograph */
  async remove(id) {
    this.photographs = this.photographs.filter((each) => each.id !== id);
    await this._save();
    await this._store.remove(fileOf(id));
  }

  /** @param {Head} head */
  async keepHead(head) {
    this.head = head;
    await this._store.write(HEAD, head.checkpoint);
    await this._save();
  }

  async clear() {
    this._begin();
    await this._store.clear();
  }

  _begin() {
    this.classes = ['Class 1', 'Class 2'].map((name) => ({ id: this._next++, name }));
    this.photographs = [];
    this.head = null;
  }

  async _save() {
    const photographs = this.photographs.map(({ id, of, name, features }) => ({ id, of, name, size: features.byteLength }));
    const head = this.head && { classes: this.head.classes, step: this.head.step, photographs: this.head.photographs };
    const index = { next: this._next, classes: this.classes, photographs, head };
    await this._store.write(INDEX, joined([JSON.stringify(index)]));
  }

  /** @param {any} index as `_save` wrote it */
  async _read({ next, classes, photographs, head }) {
    this._next = next;
    this.classes = classes;
    for (const { id, of, name, size } of photographs) {
      const content = await this._store.read(fileOf(id));
      if (!content) continue;
      const features = new Float32Array(content.slice(0, size).buffer);
      const thumbnail = new Blob([content.slice(size)], { type: 'image/jpeg' });
      this.photographs.push({ id, of, name, features, thumbnail });
    }
    const checkpoint = head && (await this._store.read(HEAD));
    if (checkpoint) this.head = { ...head, checkpoint };
  }
}

/** @param {readonly Float32Array[]} rows */
const joinedRows = (rows) => new Float32Array(joined(rows.map(bytesOf)).buffer);
