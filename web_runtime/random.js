// numpy's default_rng: SeedSequence, PCG64 and how whole numbers are drawn of it. docs/in-your-app.md has it in words.

const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const LOW = 2n ** 64n - 1n;

/**
 * Eight words of 32 bits that a list of whole numbers is hashed to (O'Neill's seed_seq, as numpy has it).
 * @param {readonly (number | bigint)[]} entropy each at least 0
 * @returns {Uint32Array}
 */
export function hashed(entropy) {
  const words = entropy.flatMap(wordsOf);
  const pool = new Uint32Array(4);
  let constant = 0x43b0d7e5;
  /** @param {number} value */
  const mixed = (value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  };
  /** @param {number} place @param {number} value */
  const mixIn = (place, value) => {
    const sum = Math.imul(0xca01f9dd, pool[place]) - Math.imul(0x4973f715, value);
    pool[place] = sum ^ ((sum >>> 0) >>> 16);
  };
  for (let place = 0; place < 4; place++) pool[place] = mixed(words[place] ?? 0);
  for (let source = 0; source < 4; source++) {
    for (let place = 0; place < 4; place++) if (place !== source) mixIn(place, mixed(pool[source]));
  }
  for (const word of words.slice(4)) for (let place = 0; place < 4; place++) mixIn(place, mixed(word));
  constant = 0x8b51f9dd;
  return Uint32Array.from({ length: 8 }, (_, place) => {
    let value = pool[place % 4] ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  });
}

/** A generator of random numbers: PCG64 (O'Neill, 2014; XSL RR 128/64), seeded with a list of whole numbers. */
export class Random {
  /** @param {readonly (number | bigint)[]} entropy each at least 0 */
  constructor(entropy) {
    const words = Array.from(hashed(entropy), BigInt);
    /** @param {number} first */
    const of128 = (first) =>
      (words[first + 1] << 96n) | (words[first] << 64n) | (words[first + 3] << 32n) | words[first + 2];
    this._increment = BigInt.asUintN(128, (of128(4) << 1n) | 1n);
    this._state = BigInt.asUintN(128, (this._increment + of128(0)) * MULTIPLIER + this._increment);
    /** @type {number | null} the upper half of what was drawn last, as long as nobody took it */
    this._half = null;
  }

  /** @returns {number} the next 32 bits: of each 64 first the lower half, then the upper one */
  next32() {
    if (this._half !== null) {
      const half = this._half;
      this._half = null;
      return half;
    }
    const drawn = this.next64();
    this._half = Number(drawn >> 32n);
    return Number(drawn & 0xffffffffn);
  }

  /** @returns {bigint} the next 64 bits; a half that nobody took yet stays for `next32` */
  next64() {
    this._state = BigInt.asUintN(128, this._state * MULTIPLIER + this._increment);
    const high = this._state >> 64n;
    const folded = high ^ (this._state & LOW);
    const turn = high >> 58n;
    return BigInt.asUintN(64, (folded >> turn) | (folded << (64n - turn)));
  }

  /** @returns {number} from 0 to below 1, each multiple of 2⁻⁵³ as likely */
  share() {
    return Number(this.next64() >> 11n) / 2 ** 53;
  }

  /**
   * A whole number from 0 to `most`, each as likely (Lemire, 2019).
   * @param {number} most below 2³² − 1; where it is 0, nothing is drawn
   */
  upTo(most) {
    if (most === 0) return 0;
    const count = most + 1;
    const threshold = (0xffffffff - most) % count;
    for (;;) {
      // The product of 32 by 32 bits in two parts, each exact in a double.
      const word = this.next32();
      const lower = (word & 0xffff) * count;
      const upper = (word >>> 16) * count + Math.floor(lower / 65536);
      if ((upper % 65536) * 65536 + (lower % 65536) >= threshold) return Math.floor(upper / 65536);
    }
  }

  /**
   * A whole number from 0 to `most`, each as likely: the lowest bits that hold `most`, drawn until they are not above it.
   * @param {number} most from 1, below 2³²
   */
  _masked(most) {
    const mask = 0xffffffff >>> Math.clz32(most);
    for (;;) {
      const drawn = (this.next32() & mask) >>> 0;
      if (drawn <= most) return drawn;
    }
  }

  /**
   * The numbers below `count` in a random order (Fisher and Yates, from the end).
   * @param {number} count
   * @returns {Uint32Array}
   */
  permutation(count) {
    const order = Uint32Array.from({ length: count }, (_, place) => place);
    for (let last = count - 1; last > 0; last--) {
      const other = this._masked(last);
      [order[last], order[other]] = [order[other], order[last]];
    }
    return order;
  }
}

/**
 * @param {number | bigint} number
 * @returns {number[]} its words of 32 bits, the lowest first; one of 0
 */
function wordsOf(number) {
  const words = [];
  let rest = BigInt(number);
  do {
    words.push(Number(rest & 0xffffffffn));
    rest >>= 32n;
  } while (rest);
  return words;
}
