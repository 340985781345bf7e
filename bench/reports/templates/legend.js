/* The legend of the charts: methods in colour, which a click pins, and the others in grey. */

/** Marks of methods in colour, in the legend and in Plotly. */
const MARKS = [
  ["●", "circle"], ["■", "square"], ["◆", "diamond"], ["▲", "triangle-up"], ["▼", "triangle-down"], ["★", "star"], ["✚", "cross"], ["✖", "x"],
];

/** Methods that are never grey: FAAST and those of --highlight. */
const highlights = JSON.parse(byId("legend").dataset.highlights);

/** Pinned methods, by name; the address has them. */
const pinned = () => new Set(readState().highlight ?? []);

/** Whether a row's method is one of these, or pinned. */
const isNeverGrey = (row, pins) =>
  pins.has(nameOf(row)) || [row.method, row.method.split("@")[0], row.name, row.name + (row.budget && ` · ${row.budget}`)].some((name) => highlights.includes(name));

/** Shade and symbol at a place; there are eight of each, and no two of the first 64 places have both in common. */
function markAt(position) {
  const [glyph, symbol] = MARKS[(position + Math.floor(position / MARKS.length)) % MARKS.length];
  return { shade: `series-${(position % MARKS.length) + 1}`, glyph, symbol };
}

/** Methods in colour: those that are never grey, those on a front at these shots, then the best, by their scores. */
function featured(indices, shots) {
  const pins = pinned();
  const drawn = indices.map((index) => rows[index]).filter((row) => row.value !== null);
  const best = drawn.filter((row) => atShots(row, shots)).sort((first, second) => sortScore(second) - sortScore(first));
  const always = new Set(drawn.filter((row) => isNeverGrey(row, pins)).map(nameOf));
  const candidates = [...new Set([...always, ...best.filter((row) => row.pareto).map(nameOf), ...best.map(nameOf)])];
  const kept = new Set(candidates.slice(0, Math.max(MARKS.length, always.size)));
  const ordered = [...new Set([...best, ...drawn].map(nameOf))].filter((name) => kept.has(name));
  const faded = ordered.some((name) => pins.has(name));
  return new Map(ordered.map((name, position) =>
    [name, { ...markAt(position), pinned: pins.has(name), opacity: faded && !pins.has(name) ? 0.4 : 1 }]));
}

/** Pins a method, or ends that. */
function togglePin(name) {
  const pins = pinned();
  if (!pins.delete(name)) pins.add(name);
  writeState({ highlight: [...pins] });
  redraw();
  // The legend was drawn anew: the focus goes to the method, or to the list that has it now.
  const button = [...byId("legend").querySelectorAll("button")].find((other) => other.dataset.name === name);
  (button ?? byId("legend").querySelector("select"))?.focus();
}

function legendItem([name, { shade, glyph, pinned: pressed }]) {
  const button = element("button", { type: "button", "aria-pressed": String(pressed), "data-name": name, title: "Highlight it in the charts, or end that" },
    element("span", { class: "glyph", style: `color: var(--${shade})`, "aria-hidden": "true" }, glyph), name);
  button.addEventListener("click", () => togglePin(name));
  return element("li", {}, button);
}

/** The grey methods, of which one can be chosen. */
function othersItem(others) {
  const select = element("select", { "aria-label": "Highlight another method" },
    element("option", { value: "" }, `${others.length} ${others.length === 1 ? "other" : "others"} in grey`),
    ...others.map((name) => element("option", { value: name }, name)));
  select.addEventListener("change", () => togglePin(select.value));
  return element("li", { class: "others" }, select);
}

function drawLegend(marks, indices) {
  const drawn = [...new Set(indices.filter((index) => rows[index].value !== null).map((index) => nameOf(rows[index])))];
  const others = drawn.filter((name) => !marks.has(name));
  byId("legend").replaceChildren(...[...marks].map(legendItem), ...(others.length ? [othersItem(others)] : []));
}
