// The runner's platform in a browser, of a page or a worker: files by fetch, and onnxruntime-web, which is given.

/** @typedef {import('./platform.js').Platform} Platform */
/** @typedef {import('./platform.js').Output} Output */

/**
 * @typedef {object} Runtime what is taken of onnxruntime-web
 * @property {{create: (content: Uint8Array, options: any) => Promise<import('./platform.js').Session>}} InferenceSession
 * @property {Platform['Tensor']} Tensor
 * @property {{wasm: {numThreads?: number, wasmPaths?: any}}} env
 */

/**
 * What of the platform is the page's to choose.
 * @typedef {object} Page
 * @property {URL} folder the package, with a slash at its end
 * @property {Output} output
 * @property {Platform['say']} say
 * @property {Platform['record']} [record]
 * @property {Platform['between']} [between] a turn for messages, where nothing else is asked for
 */

/**
 * @param {Runtime} runtime
 * @param {Page} page
 * @returns {Platform}
 */
export function browserPlatform(runtime, { folder, output, say, record = () => {}, between = turn }) {
  runtime.env.wasm.wasmPaths = new URL('runtime/', folder).href;
  return {
    read: fileIn(folder),
    output,
    async session({ content, beside }, options) {
      // The runtime starts its threads with the first session, for all.
      runtime.env.wasm.numThreads = options.intraOpNumThreads;
      const externalData = [];
      for (const [path, read] of beside) if (names(content, path)) externalData.push({ path, data: await read() });
      return runtime.InferenceSession.create(content, { ...options, externalData, executionProviders: ['wasm'] });
    },
    Tensor: runtime.Tensor,
    // Threads share memory, which a browser gives to pages alone that no other one can reach.
    cpus: crossOriginIsolated ? navigator.hardwareConcurrency : 1,
    now: () => performance.now(),
    time: () => Date.now() / 1000,
    say,
    record,
    between,
  };
}

/** Lets others have their turn; timers would wait for milliseconds, and for a second in a page that is not seen. */
export function turn() {
  return /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    })
  );
}

/**
 * Reads files of a package that is served.
 * @param {URL} folder
 * @returns {Platform['read']}
 */
export const fileIn = (folder) => async (path) => {
  const answer = await fetch(new URL(path, folder));
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
};

/**
 * Whether a graph names a file that lies beside it.
 * @param {Uint8Array} content
 * @param {string} name
 */
const names = (content, name) => new TextDecoder('latin1').decode(content).includes(name);
