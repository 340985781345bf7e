/* Paired comparison of two rows by their episodes: the formulas of bench.stats (docs/statistics.md). */

/** Coefficients of Lanczos's approximation of the gamma function, with g = 7. */
const LANCZOS = [
  676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** The logarithm of the gamma function, of arguments of 0.5 or more. */
function logGamma(value) {
  const at = value - 1;
  const series = LANCZOS.reduce((sum, factor, place) => sum + factor / (at + place + 1), 0.99999999999980993);
  const reach = at + 7.5;
  return 0.5 * Math.log(2 * Math.PI) + (at + 0.5) * Math.log(reach) - reach + Math.log(series);
}

/** The continued fraction of the incomplete beta function, by Lentz's method. */
function betaFraction(a, b, x) {
  const tiny = 1e-300;
  const kept = (value) => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / kept(1 - ((a + b) * x) / (a + 1));
  let found = d;
  for (let step = 1; step <= 10000; step += 1) {
    let change = 1;
    const even = (step * (b - step) * x) / ((a + 2 * step - 1) * (a + 2 * step));
    const odd = (-(a + step) * (a + b + step) * x) / ((a + 2 * step) * (a + 2 * step + 1));
    for (const factor of [even, odd]) {
      d = 1 / kept(1 + factor * d);
      c = kept(1 + factor / c);
      change = c * d;
      found *= change;
    }
    if (Math.abs(change - 1) < 1e-15) break;
  }
  return found;
}

/** The regularized incomplete beta function. */
function incompleteBeta(a, b, x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(a, b, x)) / a : 1 - (front * betaFraction(b, a, 1 - x)) / b;
}

/** The probability that Student's t is larger than a value of 0 or more. */
function tTail(value, df) {
  return 0.5 * incompleteBeta(df / 2, 0.5, df / (df + value * value));
}

/** The value that Student's t exceeds with a probability below one half. */
function tQuantile(tail, df) {
  let [low, high] = [0, 1];
  while (tTail(high, df) > tail) [low, high] = [high, high * 2];
  for (let step = 0; step < 200 && high - low > 1e-14 * high; step += 1) {
    const middle = (low + high) / 2;
    if (tTail(middle, df) > tail) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);
const meanOf = (values) => sumOf(values) / values.length;

/** The mean of values with its standard error. clusters: the seed of each, where those of a seed are not independent. */
function meanWithError(values, clusters) {
  const mean = meanOf(values);
  const deviations = values.map((value) => value - mean);
  const groups = clusters === null ? new Map() : Map.groupBy(deviations.keys(), (place) => clusters[place]);
  if (groups.size < 2) {
    const units = values.length;
    return { value: mean, error: Math.sqrt(sumOf(deviations.map((one) => one * one)) / (units - 1) / units), df: units - 1, units };
  }
  const sums = [...groups.values()].map((members) => sumOf(members.map((place) => deviations[place])));
  const units = sums.length;
  const error = Math.sqrt((units / (units - 1)) * sumOf(sums.map((one) => one * one))) / values.length;
  return { value: mean, error, df: units - 1, units };
}

/** The 95% interval of a mean by Student's t, and the p-value of a mean of zero. */
function students({ value, error, df, units }) {
  if (error <= 1e-12 * Math.max(1, Math.abs(value))) {
    return { low: value, high: value, p: Math.abs(value) > 1e-9 ? 2 ** (1 - units) : 1 };
  }
  const reach = tQuantile(tests.alpha / 2, df) * error;
  return { low: value - reach, high: value + reach, p: 2 * tTail(Math.abs(value) / error, df) };
}

/** The share of all swaps of the two rows in some episodes whose mean difference is at least as large. */
function swapShare(changed, episodes, mean) {
  const least = Math.abs(mean) - 1e-9 * Math.max(1, Math.abs(mean));
  const swaps = 2 ** Math.max(0, changed.length - 1); // the first episode stays, by symmetry
  let large = 0;
  for (let swap = 0; swap < swaps; swap += 1) {
    const total = sumOf(changed.map((difference, place) => ((swap >> (changed.length - 1 - place)) & 1 ? -difference : difference)));
    if (Math.abs(total / episodes) >= least) large += 1;
  }
  return large / swaps;
}

/**
 * Compares the scores of two rows on the same episodes.
 * seeds: the seed of each episode, where the episodes of a seed may share random numbers, or null.
 * bounds: the smallest and the largest score of the metric, null where there is none.
 */
function comparePaired(a, b, seeds, [least, most]) {
  const differences = a.map((value, place) => Math.round((value - b[place]) * 1e9) / 1e9); // rounding errors are no differences
  const found = meanWithError(differences, seeds);
  const changed = differences.filter((difference) => difference !== 0);
  const clustered = found.units !== a.length;
  const exact = !clustered && changed.length <= tests.exact_units;
  const { low, high, p } = students(found);
  const reach = least === null || most === null ? Infinity : most - least;
  const clipped = (end) => Math.min(Math.max(end, -reach), reach);
  return {
    a: meanOf(a), b: meanOf(b), difference: meanOf(a) - meanOf(b), differences, low: clipped(low), high: clipped(high),
    p: exact ? swapShare(changed, a.length, found.value) : p,
    test: clustered ? "Student's t over seeds" : exact ? "exact swaps" : "Student's t",
  };
}
