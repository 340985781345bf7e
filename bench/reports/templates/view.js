/* The results, the filter, and the formats of numbers. */

const { rows, records, metrics, confusions, costs: axes } = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const settingOf = (row) => `${row.task}\n${row.backbone}`;
const settings = [...new Set(rows.map(settingOf))];
/* Rows without a score may have a metric that no row has a score in. */
const isLower = (row) => metrics[row.metric]?.higher_is_better === false;
const unitOf = (row) => metrics[row.metric]?.label ?? row.metric;
const sortScore = (row) => (isLower(row) ? -row.value : row.value);
const shotsRank = (shots) => (shots === "full" ? Infinity : shots);

/** A method with its settings, and with its budget. */
/* A search finds other values for each task and number of shots; such rows are named by the search. */
const nameOf = (row) => row.method
  + (row.tuning_trials ? `, tuned by ${row.tuning_trials} trials` : row.config && ` [${row.config}]`)
  + (row.form ? `, ${row.form}` : "") + (row.transductive ? ", transductive" : "") + (["failed", "not run"].includes(row.contract) ? ", contract suite not passed" : "");
const labelOf = (row) => nameOf(row) + (row.budget && ` · ${row.budget}`);

/** "1 shot", "5 shots", "full shots". */
const counted = (shots) => `${shots} ${shots === 1 ? "shot" : "shots"}`;

/** An element; strings become text, never markup. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Three significant digits, without an exponent. */
function number(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  return value.toFixed(size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4);
}

/** A score with its interval, in the decimals of its metric. */
function score({ value, ci_low, ci_high, metric }) {
  if (value === null) return "–";
  const { decimals } = metrics[metric];
  return value.toFixed(decimals)
    + (ci_low === null ? " (too few items)" : ` [${ci_low.toFixed(decimals)}, ${ci_high.toFixed(decimals)}]`);
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

/** Order of two values in a column; missing values are last in both directions. */
function compare(first, second, direction) {
  const missing = (value) => value === null || value === "";
  if (missing(first) || missing(second)) return missing(first) - missing(second);
  const order = typeof first === "string" && typeof second === "string"
    ? first.localeCompare(second, "en", { numeric: true })
    : shotsRank(first) - shotsRank(second);
  return direction === "descending" ? -order : order;
}
