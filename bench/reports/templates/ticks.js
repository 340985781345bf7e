/* Ticks of logarithmic axes, of which there are always three at least. */

const MOST_TICKS = 7;
/** Multiples of powers of ten, the finest first. */
const MULTIPLES = [[1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1]];

/** Ticks at even steps of 1, 2 or 5 times a power of ten: between three and nine of them. */
function evenTicks(low, high) {
  const most = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(most));
  const step = power * [5, 2, 1].find((factor) => factor * power <= most * (1 + 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** Ticks between two powers of ten: at multiples of powers, or at even steps where those are too few. */
function logTicks(low, high) {
  const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, index) => Math.floor(low) + index);
  const strides = Array.from({ length: powers.length }, (_, index) => index + 2);
  const choices = [
    ...MULTIPLES.map((multiples) => powers.flatMap((power) => multiples.map((multiple) => multiple * 10 ** power))),
    ...strides.map((stride) => powers.filter((power) => power % stride === 0).map((power) => 10 ** power)),
  ];
  const within = (value) => Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9;
  return choices.map((ticks) => ticks.filter(within)).find((ticks) => ticks.length >= 3 && ticks.length <= MOST_TICKS)
    ?? evenTicks(10 ** low, 10 ** high);
}

/** The text of a tick: an exponent for what is very small or large. */
function tickText(value) {
  const rounded = Number(value.toPrecision(6));
  if (rounded < 1e-4 || rounded >= 1e6) return rounded.toExponential().replace("e+", "e");
  return rounded.toLocaleString("en", { maximumSignificantDigits: 6 });
}

/** A logarithmic axis around some values, all of them above 0. */
function logAxis(values, title) {
  const [least, greatest] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  const room = Math.max(0.08, (greatest - least) / 16);
  const [low, high] = [least - room, greatest + room];
  const tickvals = logTicks(low, high);
  return { type: "log", title, range: [low, high], tickvals, ticktext: tickvals.map(tickText), tickangle: 0 };
}
