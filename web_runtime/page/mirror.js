// The output folder of a training whose files a program on the computer keeps, too: there first, then in the browser.

import { FormatError } from '../errors.js';
import { joined, sha256 } from '../text.js';

/** @typedef {import('../platform.js').Output} Output */

const TRIES = 3;
const RETRY_MS = 1000;

/**
 * What is here is there as well, so that a training goes on from either.
 * @template {Output} Kept
 * @param {Kept} kept in the browser
 * @param {URL} folder the package
 * @returns {Output}
 */
export function mirrored(kept, folder) {
  const write = async (/** @type {string} */ name, /** @type {Uint8Array} */ content) => {
    const headers = { 'X-SHA256': await sha256(content) };
    await asked(addressOf(name, folder), { method: 'PUT', headers, body: /** @type {BodyInit} */ (content) });
    await kept.write(name, content);
  };
  const remove = async (/** @type {string} */ name) => {
    await asked(addressOf(name, folder), { method: 'DELETE' });
    await kept.remove(name);
  };
  return {
    write,
    remove,
    read: kept.read,
    names: kept.names,
    append: async (name, text) => write(name, joined([(await kept.read(name)) ?? '', text])),
    // What another training left there was brought to its results before this one began.
    async setAside() {
      for (const name of await kept.names()) await remove(name);
    },
  };
}

/**
 * Brings files from the program, where they are not in the browser as they are there.
 * @param {Output} kept
 * @param {URL} folder the package
 * @param {readonly (readonly [string, string])[]} files names and digests
 */
export async function bring(kept, folder, files) {
  for (const [name, digest] of files) {
    const here = await kept.read(name);
    if (here && (await sha256(here)) === digest) continue;
    const content = new Uint8Array(await (await asked(addressOf(name, folder), {})).arrayBuffer());
    if ((await sha256(content)) !== digest) throw new FormatError(`${name} arrived other than it was sent: try again`);
    await kept.write(name, content);
  }
}

/** @param {string} name @param {URL} folder */
const addressOf = (name, folder) => new URL(`host/output/${encodeURIComponent(name)}`, folder);

/**
 * @param {URL} address
 * @param {RequestInit} request
 */
async function asked(address, request) {
  for (let tried = 1; ; tried++) {
    const answer = await fetch(address, { ...request, cache: 'no-store' }).catch(() => null);
    if (answer?.ok) return answer;
    if (answer) throw new FormatError(`the computer does not take it: ${(await answer.text()).trim()}`);
    if (tried === TRIES) throw new FormatError('the computer does not answer any more: run it again with --resume');
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
