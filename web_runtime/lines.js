// The lines that a user reads: device_runtime/console.py's, letter by letter.

/** @type {Record<string, string>} */
const SHORT = { accuracy: 'acc' };

// Classes in one line; of more, so many.
const [MOST_NAMED, LOWEST] = [12, 5];
const LONGEST_NAME = 40;

/**
 * C's `%.6g`.
 * @param {number} value
 * @param {number} digits
 */
export function general(value, digits = 6) {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  const [mantissa, power] = value.toExponential(digits - 1).split('e');
  const exponent = Number(power);
  if (exponent >= -4 && exponent < digits) return shortened(value.toFixed(digits - 1 - exponent));
  return `${shortened(mantissa)}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

/**
 * `100:<tab>Loss is 0.853509 [min=0.581739]  max_acc=0.674079`; without a score, the line ends before it.
 * @param {number} step
 * @param {number} loss
 * @param {number} leastLoss
 * @param {{score: number, measure: string} | null} best
 */
export function cycleLine(step, loss, leastLoss, best = null) {
  const told = `Loss is ${general(loss)} [min=${general(leastLoss)}]`;
  if (!best) return `${step}: ${told}`;
  return `${step}:\t${told}  max_${SHORT[best.measure] ?? best.measure}=${general(best.score)}`;
}

/**
 * @param {number} epoch
 * @param {number} loss
 * @param {string} split
 * @param {number} score
 * @param {number} seconds
 * @param {string} measure
 */
export function epochLine(epoch, loss, split, score, seconds, measure) {
  return `epoch ${epoch}: Loss is ${general(loss)}  ${scoreOn(split, score, measure)}  time = ${seconds.toFixed(2)} s`;
}

/**
 * @param {string} split
 * @param {number} score
 * @param {number} best
 * @param {string} measure
 */
export function evaluationLine(split, score, best, measure) {
  return `${measure} on ${split} data = ${general(score)} max ${measure} = ${general(best)}`;
}

/**
 * @param {string} split
 * @param {number} score
 * @param {string} measure
 */
export function scoreOn(split, score, measure) {
  return split === 'validation' ? `${measure} on validation data = ${general(score)}` : `${measure} = ${general(score)}`;
}

/**
 * `f1 of each: cat 0.98, dog 0.914`; of many the lowest alone. Where there is none of a class, it has none.
 * @param {readonly string[]} names
 * @param {readonly import('./scores.js').Measures[]} each
 */
export function eachLine(names, each) {
  const [measure] = Object.keys(each[0]);
  let there = each.flatMap((measures, place) =>
    place < names.length && measures.count ? [{ name: names[place], value: measures[measure] }] : [],
  );
  let which = 'each';
  if (there.length > MOST_NAMED) {
    there = there.sort((one, other) => one.value - other.value).slice(0, LOWEST);
    which = `the lowest of ${each.length}`;
  }
  return `${measure} of ${which}: ${there.map(({ name, value }) => `${plain(name)} ${general(value, 3)}`).join(', ')}`;
}

/**
 * A name of any characters in a line.
 * @param {string} name
 */
const plain = (name) =>
  Array.from(name, (character) => (character !== ' ' && /[\p{C}\p{Z}]/u.test(character) ? '?' : character))
    .slice(0, LONGEST_NAME)
    .join('');

/** @param {string} digits */
function shortened(digits) {
  return digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits;
}
