// What the page and the program that opened it tell one another, where there is one: jobs, lines, ends.

/**
 * @typedef {object} Job what the page is to do
 * @property {string} id
 * @property {string} task `train.sh` and so on
 * @property {readonly string[]} words options of the runner
 * @property {readonly (readonly [string, string])[]} files of the output folder that it needs, and their SHA-256
 * @property {boolean} clear whether files of earlier trainings go
 */

/**
 * @typedef {object} Listener
 * @property {(job: Job) => void} onJob also of a job that it knows
 * @property {() => void} onAlone there is no such program: the folder was served by another one
 * @property {() => void} onOver the program has ended
 * @property {(state: 'here' | 'away' | 'taken') => void} onState the program is there, does not answer, or another page has it
 */

const RETRY_MS = 1000;

/** The program. */
export class Host {
  /** @param {URL} folder the package */
  constructor(folder) {
    this._folder = new URL('host/', folder);
    /** @type {{job: string, lines: string[]} | null} */
    this._waiting = null;
    this._sending = Promise.resolve();
  }

  /**
   * Hears what the program wants, until it ends. It knows by this connection that the page is there.
   * @param {Record<string, string>} visitor what it is told of this browser
   * @param {Listener} listener
   */
  async follow(visitor, listener) {
    for (;;) {
      try {
        const answer = await fetch(new URL(`events?${new URLSearchParams(visitor)}`, this._folder), { cache: 'no-store' });
        if (answer.status === 404) return listener.onAlone();
        if (answer.ok && answer.body) {
          listener.onState('here');
          for await (const { over, job } of messages(answer.body)) {
            if (over) return listener.onOver();
            listener.onJob(job);
          }
        }
        listener.onState(answer.status === 409 ? 'taken' : 'away');
      } catch {
        listener.onState('away');
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /**
   * Sends a line; lines that come meanwhile go together.
   * @param {string} job
   * @param {string} line
   */
  say(job, line) {
    if (this._waiting?.job === job) {
      this._waiting.lines.push(line);
      return;
    }
    const waiting = { job, lines: [line] };
    this._waiting = waiting;
    this._sending = this._sending.then(() => {
      if (this._waiting === waiting) this._waiting = null;
      return this._post('lines', waiting);
    });
  }

  /**
   * Ends a job, after its lines.
   * @param {string} job
   * @param {number} code
   */
  async end(job, code) {
    this._waiting = null;
    this._sending = this._sending.then(() => this._post('end', { job, code }));
    await this._sending;
  }

  /** @param {string} what @param {object} message */
  async _post(what, message) {
    // A program that is gone hears nothing, and what it was told is in the page.
    await fetch(new URL(what, this._folder), { method: 'POST', body: JSON.stringify(message) }).catch(() => {});
  }
}

/**
 * Lines of JSON as they come.
 * @param {ReadableStream<Uint8Array>} body
 */
async function* messages(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (let text = ''; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (text + decoder.decode(value, { stream: true })).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line);
  }
}

/** What the program is told of this browser. */
export function visitor() {
  const agent = /** @type {any} */ (navigator).userAgentData;
  const named = agent?.brands?.find((/** @type {{brand: string}} */ { brand }) => !/not.*brand/i.test(brand));
  const short = /(?:Firefox|Version)\/\d+|(?:Edg|Chrome)\/\d+/.exec(navigator.userAgent)?.[0];
  const system = named ? `${named.brand} ${named.version} on ${agent.platform}` : (short ?? navigator.userAgent);
  return { system, cores: String(navigator.hardwareConcurrency) };
}
