/* The results, the filter, and the formats of numbers. */

const byId = (id) => document.getElementById(id);

/* Set by loadResults, before anything is shown: rows in the order of the leaderboard, metrics by name, axes of cost, and
   tasks with their backbones. Records and confusion matrices are in parts of the page, which detail.js unpacks. */
let rows = [];
let metrics = {};
let axes = [];
/** Limits of tests: the level, and numbers of episodes (bench.stats). */
let tests = {};
let settings = [];
/** Names of the fields of a row, in the order of tables as CSV. */
let fields = [];
/** Number of consecutive rows whose records are in one part of the page. */
let rowsOfPart = 1;
let places = new Map();

const settingOf = (row) => `${row.task}\n${row.backbone}`;
/* Rows without a score may have a metric that no row has a score in. */
const isLower = (row) => metrics[row.metric]?.higher_is_better === false;
const unitOf = (row) => metrics[row.metric]?.label ?? row.metric;
const sortScore = (row) => (isLower(row) ? -row.value : row.value);
const shotsRank = (shots) => (shots === "full" ? Infinity : shots);

/** The text of an element whose content is compressed. */
async function unpacked(packed) {
  const letters = atob(packed.textContent);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place += 1) bytes[place] = letters.charCodeAt(place);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

/** Unpacks the rows, which are a compressed part of the page. */
async function loadResults() {
  if (!("DecompressionStream" in self)) {
    throw new Error("it lacks DecompressionStream; Chrome and Edge have it since version 80, Firefox since 113, Safari since 16.4");
  }
  ({ rows, fields, metrics, tests, costs: axes, rows_of_part: rowsOfPart } = JSON.parse(await unpacked(byId("data"))));
  settings = [...new Set(rows.map(settingOf))];
  places = new Map(rows.map((row, index) => [keyOf(row), index]));
}

/** The name of a row in addresses. A row over templates has the runs of the rows of each template. */
const keyOf = (row) => row.runs[0] + (row.templates > 1 ? "-templates" : "");
/** The row of a name; undefined where no row has it. */
const indexOf = (key) => places.get(key);

/** A method with its settings, what a reader must know of it and what tells it apart, and with its budget. */
const nameOf = (row) => row.name + (row.mark && `, ${row.mark}`);
const labelOf = (row) => nameOf(row) + (row.budget && ` · ${row.budget}`);

/** "1 shot", "5 shots", "full shots". */
const counted = (shots) => `${shots} ${shots === 1 ? "shot" : "shots"}`;
const statusOf = (row) => row.status.replace("_", " ");

/** An element; strings become text, never markup. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Three significant digits, without an exponent. */
function number(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return whole.format(value);
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4);
}

/** A value of a row's metric in its decimals. */
const inDecimals = (value, metric) => value.toFixed(metrics[metric].decimals);

/** A score with its interval, in the decimals of its metric. */
function score({ value, ci_low, ci_high, metric }) {
  if (value === null) return "–";
  return inDecimals(value, metric)
    + (ci_low === null ? " (too few items)" : ` [${inDecimals(ci_low, metric)}, ${inDecimals(ci_high, metric)}]`);
}

/** The filter of the form; an empty string matches everything. */
function chosen() {
  return {
    setting: byId("setting").value,
    shots: byId("shots").value,
    status: byId("status").value,
    words: byId("search").value.trim().toLowerCase(),
    front: byId("front").checked,
  };
}

/** Chooses an option of a select, or its default where there is none of this value, or it is hidden; returns its value. */
function choose(id, value) {
  const options = [...byId(id).options];
  const found = options.find((one) => one.value === value && !one.hidden) ?? options.find((one) => one.defaultSelected) ?? options[0];
  byId(id).value = found?.value ?? "";
  return byId(id).value;
}

/** Indices of the rows that match the filter; shots filter the table and not the charts, which have their own. */
function passing({ setting, shots, status, words, front }) {
  return [...rows.keys()].filter((index) => {
    const row = rows[index];
    return (
      (setting === "" || settingOf(row) === settings[Number(setting)]) &&
      (shots === "" || String(row.shots) === shots) &&
      (status === "" || row.status === status) &&
      (!front || row.pareto !== "") &&
      labelOf(row).toLowerCase().includes(words)
    );
  });
}

const byWords = new Intl.Collator("en", { numeric: true });

/** Order of two values in a column; missing values are last in both directions. */
function compare(first, second, direction) {
  const missing = (value) => value === null || value === "";
  if (missing(first) || missing(second)) return missing(first) - missing(second);
  const order = typeof first === "string" && typeof second === "string"
    ? byWords.compare(first, second)
    : shotsRank(first) - shotsRank(second);
  return direction === "descending" ? -order : order;
}
