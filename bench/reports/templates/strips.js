/* Strips: how scores of episodes, or their differences, are spread. */

const STRIP = { width: 600, height: 36, bars: 75 };

/** An SVG element; its attributes never hold markup. */
function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Numbers of values in equal parts of a range. */
function histogram(values, low, high) {
  const counts = Array(STRIP.bars).fill(0);
  for (const value of values) {
    counts[Math.min(STRIP.bars - 1, Math.floor(((value - low) / (high - low || 1)) * STRIP.bars))] += 1;
  }
  return counts;
}

/**
 * A strip of values: a bar for each part of the range, as high as it has values, and a line at the mean.
 * range: the lowest and the highest value of the strip; text: formats a value; label: what the values are.
 */
function strip(values, [low, high], text, label) {
  const counts = histogram(values, low, high);
  const most = Math.max(...counts);
  const step = STRIP.width / STRIP.bars;
  const at = (value) => ((value - low) / (high - low || 1)) * STRIP.width;
  const bars = counts.flatMap((count, place) => {
    if (!count) return [];
    const middle = low + ((place + 0.5) / STRIP.bars) * (high - low);
    const height = Math.max(2, (count / most) * STRIP.height);
    return [drawn("rect", { class: low < 0 && middle < 0 ? "below" : "above", x: place * step, width: step - 1, y: STRIP.height - height, height })];
  });
  const sorted = values.toSorted((one, other) => one - other);
  const median = (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
  const words = `${label}: lowest ${text(sorted[0])}, median ${text(median)}, highest ${text(sorted.at(-1))}`;
  const marks = [drawn("line", { class: "mean", x1: at(meanOf(values)), x2: at(meanOf(values)), y1: 0, y2: STRIP.height })];
  if (low < 0 && high > 0) marks.push(drawn("line", { class: "zero", x1: at(0), x2: at(0), y1: 0, y2: STRIP.height }));
  return element("figure", { class: "strip" },
    drawn("svg", { viewBox: `0 0 ${STRIP.width} ${STRIP.height}`, preserveAspectRatio: "none", role: "img", "aria-label": words }, ...bars, ...marks),
    element("figcaption", {}, words));
}
