// The output folder in a browser: files in IndexedDB, which outlive the page.

import { joined } from './text.js';

/** @typedef {import('./platform.js').Output} Output */

const FILES = 'files';

/**
 * @param {string} name of the database
 * @returns {Promise<Output & {clear: () => Promise<void>}>}
 */
export async function databaseOutput(name) {
  const database = await opened(name);
  /** @type {<T>(mode: IDBTransactionMode, ask: (files: IDBObjectStore) => IDBRequest<T>) => Promise<T>} */
  const asked = (mode, ask) =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction(FILES, mode, { durability: 'strict' });
      const request = ask(transaction.objectStore(FILES));
      // What was written is there when the transaction has ended.
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error ?? request.error);
    });
  const read = async (/** @type {string} */ file) => (await asked('readonly', (files) => files.get(file))) ?? null;
  const write = async (/** @type {string} */ file, /** @type {Uint8Array} */ content) => {
    await asked('readwrite', (files) => files.put(content, file));
  };
  const clear = () => asked('readwrite', (files) => files.clear());
  return {
    read,
    write,
    clear,
    names: async () => (await asked('readonly', (files) => files.getAllKeys())).map(String),
    async append(file, text) {
      await write(file, joined([(await read(file)) ?? '', text]));
    },
    remove: (file) => asked('readwrite', (files) => files.delete(file)),
    // Nobody looks for an earlier training in here: its results were downloaded, or are on the computer.
    setAside: clear,
  };
}

/**
 * @param {string} name
 * @returns {Promise<IDBDatabase>}
 */
const opened = (name) =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(FILES);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
