/* The table: its cells, and its rows in blocks, which are drawn when they come near the part that is seen. */

/** Number of rows of a block. */
const BLOCK = 50;
/** Pixels of a row, about, while it is not drawn. */
const LINE = 44;
const SIGN = "†";
const frame = byId("table");
const table = byId("results");
const headers = [...table.querySelectorAll("th[data-field]")];
const columns = headers.map(({ dataset }) => dataset);
/** Indices of the rows that are shown, in their order. */
let shown = [];
let blocks = new Map();
let scales = new Map();

/** The mark of a time that was measured in company (docs/budgets.md). */
function sign(row, field) {
  if (row[field] === null) return "";
  if (field === "break_even_queries") return row.break_even_company ? SIGN : "";
  return row.company && axes.some((axis) => axis.field === field && axis.time) ? SIGN : "";
}

const TEXTS = {
  task: (row) => `${row.task} · ${row.backbone}`,
  method: labelOf,
  value: score,
  tiers: (row) => row.tiers || "–",
  ranks: (row) => row.ranks || "–",
  pareto: (row) => row.pareto.replace("+", " + "),
  status: statusOf,
};

/** The text of a cell. column: its field and kind. */
function textOf({ field, kind }, row) {
  if (field in TEXTS) return TEXTS[field](row);
  if (kind === "number") return number(row[field]) + sign(row, field);
  return row[field] === null ? "–" : String(row[field]);
}

const note = (text) => element("span", { class: "config" }, text);

function methodCell(row) {
  const failed = row.status === "ok" ? null
    : element("span", { class: "reason" }, element("span", { class: `status ${row.status} narrow` }, statusOf(row)), ` ${row.reason}`);
  return element("th", { scope: "row", class: "method" },
    element("button", { type: "button", class: "open", "aria-haspopup": "dialog" }, row.method),
    row.config ? note(row.config) : null,
    row.mark ? note(row.mark) : null,
    row.tuning_trials ? note(`tuned by ${row.tuning_trials} trials in ${number(row.tuning_seconds)} s`) : null,
    row.budget ? note(row.budget) : null,
    failed);
}

/** The ends of a row's interval, both its score where it has none. */
const ends = ({ value, ci_low, ci_high }) => (ci_low === null ? [value, value] : [ci_low, ci_high]);
const scaleOf = (row) => `${settingOf(row)}\n${row.metric}`;

/** The scales of scores, from the lowest to the highest end of all intervals of a task. */
function measureScales() {
  scales = new Map();
  for (const row of rows.filter(({ value }) => value !== null)) {
    const [low, high] = scales.get(scaleOf(row)) ?? [Infinity, -Infinity];
    scales.set(scaleOf(row), [Math.min(low, ...ends(row)), Math.max(high, ...ends(row))]);
  }
}

/** A bar with a row's interval and score on the scale of its task. */
function scaleBar(row) {
  const [low, high] = scales.get(scaleOf(row));
  const [first, middle, last] = [ends(row)[0], row.value, ends(row)[1]].map((value) => ((value - low) / (high - low || 1)) * 100);
  return element("span", { class: "scale", "aria-hidden": "true" },
    element("i", { style: `left:${first.toFixed(2)}%;right:${(100 - last).toFixed(2)}%` }),
    element("b", { style: `left:${middle.toFixed(2)}%` }));
}

function scoreCell(row) {
  if (row.value === null) return element("td", { class: "score number" }, "–");
  const [value, ...interval] = score(row).split(" ");
  return element("td", { class: "score number" },
    element("span", { class: "figures" }, element("b", {}, value), " ", element("span", { class: "ci" }, interval.join(" "))), scaleBar(row));
}

/** What a pointer shows of a cell. */
function titleOf(field, row) {
  if (field === "tiers") return row.too_few;
  if (field === "adapt_seconds" && row.adapt_seconds_spread) return `± ${number(row.adapt_seconds_spread)} between quartiles`;
  return "";
}

function cellOf({ field, kind }, row) {
  if (field === "method") return methodCell(row);
  if (field === "value") return scoreCell(row);
  if (field === "task") return element("td", { class: "task across" }, row.task, note(row.backbone));
  if (field === "status") return element("td", {}, element("span", { class: `status ${row.status}` }, statusOf(row)));
  const title = titleOf(field, row);
  const shape = field === "pareto" ? "front" : kind === "text" ? "" : "number";
  const text = textOf({ field, kind }, row);
  // Of a method without a support set they are those at each number of shots.
  const content = field === "tiers" || field === "ranks" ? element("span", { class: "short" }, text) : text;
  return element("td", { class: `${shape}${field === "metric" ? " across" : ""}`, ...(title ? { title } : {}) }, content);
}

/** A line of the table. place: its place among those that are shown. */
function lineOf(index, place) {
  const row = rows[index];
  const before = rows[shown[place - 1]];
  const first = before !== undefined && (row.shots !== before.shots || settingOf(row) !== settingOf(before));
  return element("tr", { "data-row": index, "aria-rowindex": place + 2, ...(first ? { class: "first" } : {}) },
    ...columns.map((column) => cellOf(column, row)));
}

/** Draws the rows of a block. */
function fill(body) {
  const block = blocks.get(body);
  if (block.drawn) return;
  block.drawn = true;
  body.replaceChildren(...shown.slice(block.start, block.end).map((index, place) => lineOf(index, block.start + place)));
}

/** Leaves a space in place of the rows of a block that nobody sees. */
function clear(body, height) {
  const block = blocks.get(body);
  // The focus, and a selection, are not lost.
  if (!block.drawn || body.contains(document.activeElement) || getSelection().containsNode(body, true)) return;
  space(body, block, height);
}

function space(body, block, height) {
  block.drawn = false;
  body.replaceChildren(element("tr", { "aria-hidden": "true" },
    element("td", { class: "space", colspan: columns.length, style: `height:${height}px` })));
}

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting, boundingClientRect } of entries) {
    if (blocks.has(target)) (isIntersecting ? fill : clear)(target, boundingClientRect.height);
  }
}, { root: frame, rootMargin: "1500px 0px" });

/** Shows some rows in an order. ranked: whether it is that of the leaderboard; single: whether they are of one task. */
function showRows(indices, { ranked, single }) {
  observer.disconnect();
  for (const body of blocks.keys()) body.remove();
  shown = indices;
  blocks = new Map();
  for (let start = 0; start < shown.length; start += BLOCK) {
    const [body, block] = [element("tbody"), { start, end: Math.min(start + BLOCK, shown.length), drawn: false }];
    space(body, block, (block.end - start) * LINE);
    blocks.set(body, block);
  }
  table.tHead.after(...blocks.keys());
  table.classList.toggle("ranked", ranked);
  table.classList.toggle("single", single);
  table.setAttribute("aria-rowcount", shown.length + 1);
  frame.scrollTop = 0;
  // The first rows are there at once, the others as soon as the browser says that they are near.
  if (shown.length) fill(table.tBodies[0]);
  for (const body of blocks.keys()) observer.observe(body);
}

/** Lets the widths of columns fit the longest text of each, so that they stay while blocks are drawn and cleared. */
function fixWidths() {
  if (rows.length <= BLOCK) return;
  const longest = columns.map((column) => {
    const lengths = rows.map((row) => textOf(column, row).length);
    return rows[lengths.indexOf(lengths.reduce((most, length) => Math.max(most, length), 0))];
  });
  table.append(element("tfoot", { "aria-hidden": "true" },
    element("tr", {}, ...columns.map((column, place) => element("td", { class: column.field === "task" || column.field === "metric" ? "across" : "" },
      element("div", { class: "width" }, ...cellOf(column, longest[place]).childNodes))))));
}

addEventListener("beforeprint", () => { for (const body of blocks.keys()) fill(body); });
