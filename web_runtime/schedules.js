// Learning rates as a function of the step.

/**
 * @param {number} step number of the update within the schedule, from 1
 * @param {{base: number, schedule: string, cycles: number, warmup: number}} plan rate after the warm-up; `constant`,
 *   `step` or `cosine`; updates of the whole schedule; those over which the rate rises
 */
export function learningRateAt(step, { base, schedule, cycles, warmup }) {
  if (step <= warmup) return (base * step) / warmup;
  const progress = (Math.min(step, cycles) - 1 - warmup) / Math.max(cycles - warmup, 1);
  if (schedule === 'step') return base * 0.1 ** Math.floor(progress * 3);
  if (schedule === 'cosine') return base * 0.5 * (1 + Math.cos(Math.PI * progress));
  return base;
}
