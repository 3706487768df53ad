// What is wrong with a package, a checkpoint, data or options, said for a person.

/** Files or options do not fit; the message says which, and what to do. */
export class FormatError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'FormatError';
  }
}
