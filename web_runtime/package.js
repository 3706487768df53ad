// A package's files, each compared with the manifest when it is read.

import { FormatError } from './errors.js';
import { pythonJson, sha256 } from './text.js';

/** @typedef {import('./platform.js').Platform} Platform */

const FORMAT = 1;

// What is read again and again stays in memory up to so many bytes.
const KEPT_BYTES = 2 ** 28;

/** The files of a package. */
export class Package {
  /**
   * Reads the manifest; a folder without one is taken as it is.
   * @param {Pick<Platform, 'read' | 'session'>} platform
   */
  static async open(platform) {
    const bytes = await platform.read('manifest.json');
    /** @type {Map<string, string>} */
    const digests = new Map();
    if (!bytes) return new Package(platform, digests, '');
    const { format, files } = parsed(bytes, 'manifest.json');
    if (format !== FORMAT) {
      throw new FormatError(`the package has format ${format}, this program reads ${FORMAT}: package again`);
    }
    for (const { path, sha256: digest } of files) digests.set(path, digest);
    const madeOf = [...digests].filter(([path]) => /^(dataset\/|model\/(?!reference\/))/.test(path));
    madeOf.sort(([one], [other]) => (one < other ? -1 : 1));
    return new Package(platform, digests, await sha256(pythonJson(madeOf)));
  }

  /**
   * @param {Pick<Platform, 'read' | 'session'>} platform
   * @param {Map<string, string>} digests of the files, by path
   * @param {string} digest of model and dataset, the same on every target; empty where there is no manifest
   */
  constructor(platform, digests, digest) {
    this._platform = platform;
    this._digests = digests;
    this.digest = digest;
    /** @type {Map<string, Uint8Array>} the one that was asked for last at the end */
    this._kept = new Map();
  }

  /** @param {string} path */
  has(path) {
    return this._digests.has(path);
  }

  /**
   * @param {string} path
   * @returns {Promise<Uint8Array>} a file, right to the last bit
   */
  async read(path) {
    const content = await this._platform.read(path);
    if (!content) throw new FormatError(`the package has no ${path}: package again`);
    const digest = this._digests.get(path);
    if (this._digests.size && digest !== (await sha256(content))) {
      throw new FormatError(`the package does not match its manifest: ${path}; package or fetch it again`);
    }
    return content;
  }

  /**
   * @param {string} path
   * @returns {Promise<Uint8Array | null>} as `read`, null where there is no such file
   */
  async readIfThere(path) {
    const there = this._digests.size ? this._digests.has(path) : await this._platform.read(path);
    return there ? this.read(path) : null;
  }

  /**
   * @param {string} path
   * @returns {Promise<Uint8Array>} as `read`, from memory if it is there
   */
  async kept(path) {
    const content = this._kept.get(path) ?? (await this.read(path));
    this._kept.delete(path);
    this._kept.set(path, content);
    let size = 0;
    for (const each of this._kept.values()) size += each.length;
    for (const [oldest, each] of this._kept) {
      if (size <= KEPT_BYTES || oldest === path) break;
      this._kept.delete(oldest);
      size -= each.length;
    }
    return content;
  }

  /** @param {string} path */
  async json(path) {
    return parsed(await this.read(path), path);
  }

  /**
   * @param {string} path of a graph
   * @param {import('./platform.js').SessionOptions} options
   */
  async session(path, options) {
    const content = await this.read(path);
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    // Frozen weights stand in a file of their own, where there are some.
    const beside = new Map([['frozen.bin', () => this.read(`${folder}frozen.bin`)]]);
    return this._platform.session({ path, content, beside }, options).catch((error) => {
      throw new FormatError(`${path} cannot be opened (${String(error.message ?? error).split('\n')[0]}): package again`);
    });
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {string} path
 */
function parsed(bytes, path) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new FormatError(`${path} is no JSON (${/** @type {Error} */ (error).message}): package again`);
  }
}
