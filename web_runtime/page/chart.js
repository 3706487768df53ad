// A curve over the steps of a training, as SVG, redrawn as it grows.

const MARGIN = { left: 44, right: 8, top: 8, bottom: 22 };
const LINES = 4;
// A few points of a curve are shown as such.
const DOTTED = 40;

/** One curve in a figure. */
export class Chart {
  /**
   * @param {HTMLElement} figure
   * @param {(value: number) => string} format of the values
   * @param {number | null} top the largest value there can be
   */
  constructor(figure, format, top) {
    this._format = format;
    this._top = top;
    /** @type {[number, number][]} step and value */
    this._points = [];
    this._svg = element('svg', { role: 'img' });
    this._title = figure.querySelector('figcaption')?.textContent ?? '';
    this._drawn = true;
    figure.append(this._svg);
    new ResizeObserver(() => this._draw()).observe(figure);
  }

  /** @param {number} last the step whose point, and those before, stay */
  keep(last) {
    while (this._points.length && this._points[this._points.length - 1][0] > last) this._points.pop();
    this._ask();
  }

  /** @param {number} step @param {number} value */
  add(step, value) {
    // A training that goes on makes steps again that came after its checkpoint.
    this.keep(step - 1);
    this._points.push([step, value]);
  }

  /** Draws with the next frame, once for all that came. */
  _ask() {
    if (!this._drawn) return;
    this._drawn = false;
    requestAnimationFrame(() => this._draw());
  }

  _draw() {
    this._drawn = true;
    const { width, height } = this._svg.getBoundingClientRect();
    if (!width) return;
    const points = thinned(this._points, Math.floor(width / 2));
    const [most, least] = [this._top ?? Math.max(...points.map(([, value]) => value), 0), 0];
    const [first, last] = points.length ? [points[0][0], points[points.length - 1][0]] : [0, 1];
    const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
    const x = (/** @type {number} */ step) => MARGIN.left + (inner.width * (step - first)) / Math.max(last - first, 1);
    const ticks = ticksUpTo(most || 1);
    const end = Math.max(ticks[ticks.length - 1], most) || 1;
    const y = (/** @type {number} */ value) => MARGIN.top + inner.height * (1 - (value - least) / end);
    const parts = ticks.flatMap((value) => [
      element('line', { class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
      text(this._format(value), { x: MARGIN.left - 6, y: y(value) + 4, 'text-anchor': 'end' }),
    ]);
    if (points.length) {
      parts.push(text(`step ${last}`, { x: width - MARGIN.right, y: height - 4, 'text-anchor': 'end' }));
      parts.push(text(String(first), { x: MARGIN.left, y: height - 4 }));
      const path = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
      parts.push(element('polyline', { class: 'curve', points: path }));
      const dots = points.length <= DOTTED ? points : points.slice(-1);
      for (const [step, value] of dots) parts.push(element('circle', { class: 'point', cx: x(step), cy: y(value), r: 3 }));
    }
    const [, now] = this._points[this._points.length - 1] ?? [0, NaN];
    const told = points.length ? `${this._format(now)} after step ${last}` : 'nothing yet';
    this._svg.setAttribute('aria-label', `${this._title}: ${told}`);
    this._svg.replaceChildren(...parts);
  }
}

/**
 * At most so many points: of each stretch the mean.
 * @param {readonly [number, number][]} points
 * @param {number} most
 * @returns {[number, number][]}
 */
function thinned(points, most) {
  const size = Math.ceil(points.length / Math.max(most, 1));
  if (size <= 1) return [...points];
  const found = /** @type {[number, number][]} */ ([]);
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    found.push([part[part.length - 1][0], part.reduce((sum, [, value]) => sum + value, 0) / part.length]);
  }
  return found;
}

/** @param {number} most @returns {number[]} round numbers from 0 on */
function ticksUpTo(most) {
  const rough = most / LINES;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const count = Math.max(1, Math.floor(most / step + 1e-9));
  return Array.from({ length: count + 1 }, (_, place) => place * step);
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function element(name, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** @param {string} content @param {Record<string, string | number>} attributes */
function text(content, attributes) {
  const made = element('text', attributes);
  made.textContent = content;
  return made;
}
