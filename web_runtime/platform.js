// What differs between a browser and Node is given to the runner as a `Platform`: it touches nothing else of either.

/**
 * A tensor as ONNX Runtime's JavaScript packages have it.
 * @typedef {object} Tensor
 * @property {any} data typed array
 * @property {readonly number[]} dims
 */

/**
 * What a tensor is made of.
 * @typedef {object} Values
 * @property {string} type `float32`, `int64` and so on
 * @property {any} data typed array of that type
 * @property {readonly number[]} dims
 */

/**
 * An open graph.
 * @typedef {object} Session
 * @property {(feeds: any, outputs: readonly string[]) => Promise<Readonly<Record<string, any>>>} run
 */

/**
 * Options of a session, in ONNX Runtime's names.
 * @typedef {object} SessionOptions
 * @property {number} intraOpNumThreads
 * @property {number} interOpNumThreads
 * @property {4 | 3 | 2} logSeverityLevel
 * @property {Record<string, number>} [freeDimensionOverrides]
 * @property {Record<string, unknown>} extra
 */

/**
 * A graph's file, as it was read and checked.
 * @typedef {object} Graph
 * @property {string} path in the package
 * @property {Uint8Array} content
 * @property {ReadonlyMap<string, () => Promise<Uint8Array>>} beside by name, files that the graph may read itself
 */

/**
 * The folder that a training writes into.
 * @typedef {object} Output
 * @property {(name: string) => Promise<Uint8Array | null>} read null where there is no such file
 * @property {(name: string, content: Uint8Array) => Promise<void>} write whole or not at all, in place of what is there
 * @property {(name: string, text: string) => Promise<void>} append
 * @property {(name: string) => Promise<void>} remove also where there is none
 * @property {() => Promise<string[]>} names of the files
 * @property {(folder: string) => Promise<void>} setAside moves every file into a folder within
 */

/**
 * @typedef {object} Platform
 * @property {(path: string) => Promise<Uint8Array | null>} read a file of the package, null where there is none; its path has
 *   forward slashes
 * @property {Output} output
 * @property {(graph: Graph, options: SessionOptions) => Promise<Session>} session
 * @property {new (type: any, data: any, dims: readonly number[]) => Tensor} Tensor ONNX Runtime's
 * @property {number} cpus that there are for threads
 * @property {() => number} now milliseconds, of a clock that is never set
 * @property {() => number} time seconds since 1970
 * @property {(line: string) => void} say prints a line of the log
 * @property {(record: import('./metrics.js').Line) => void} record hears what goes into metrics.jsonl
 * @property {() => Promise<void>} between is awaited between two updates: others have their turn, and a pause lasts
 */

export {};
