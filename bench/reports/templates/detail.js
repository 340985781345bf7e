/* Details of a row: its records, with costs by stage, limits, notes, identity and provenance. */

/** An object's leaves as [path, text], so that no part of a record is left out. */
function leaves(value, path = "") {
  const nested = value !== null && typeof value === "object" && !Array.isArray(value);
  if (nested) return Object.entries(value).flatMap(([key, part]) => leaves(part, path ? `${path}.${key}` : key));
  if (path.endsWith("command") && Array.isArray(value)) return [[path, value.join(" ")]];
  return value === null ? [] : [[path, typeof value === "string" ? value : JSON.stringify(value)]];
}

/** A titled list of an object's leaves; null where there are none. */
function listed(title, object) {
  const found = leaves(object);
  if (!found.length) return null;
  const items = found.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]);
  return element("section", {}, element("h4", {}, title), element("dl", {}, ...items));
}

/** A small table; the first column is words, the others are numbers. */
function grid(title, header, lines) {
  const head = header.map((name, index) => element("th", { scope: "col", class: index ? "number" : "text" }, name));
  const body = lines.map(([name, ...numbers]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...numbers.map((text) => element("td", { class: "number" }, text))));
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("section", {}, element("h4", {}, title), element("div", { class: "table" }, table));
}

function costsOf(costs) {
  if (!costs) return [];
  const stages = ["encode", "adapt", "query"].map((stage) => [stage, costs[stage]]);
  const optional = [["reserved MB", "reserved_memory_mb"], ["FLOPs", "flops"]].filter(([, key]) => stages.some(([, cost]) => cost[key] !== null));
  const lines = stages.map(([stage, cost]) => [
    stage, number(cost.seconds), cost.seconds_spread ? `± ${number(cost.seconds_spread)}` : "–", number(cost.peak_memory_mb),
    ...optional.map(([, key]) => (cost[key] >= 1e6 ? cost[key].toExponential(2) : number(cost[key]))),
  ]);
  const rest = Object.fromEntries(Object.entries(costs).filter(([key]) => !(key in Object.fromEntries(stages))));
  return [
    grid("Costs by stage", ["stage", "seconds", "spread", "peak MB", ...optional.map(([title]) => title)], lines),
    listed("Other costs", rest),
  ];
}

function limitsOf({ limits, violations }) {
  const axes = [...new Set([...Object.keys(limits), ...Object.keys(violations)])];
  if (!axes.length) return null;
  const lines = axes.map((axis) => [
    axis, number(limits[axis]), axis in violations ? number(violations[axis]) : "within", axis in violations ? "exceeded" : "kept",
  ]);
  return grid("Limits", ["axis", "limit", "measured", "kept"], lines);
}

const MOST_CLASSES = 15;

/** The confusion matrix of a row, or its most frequent confusions where it would be too wide; nothing without one. */
function confusionOf(index) {
  const found = confusions[index];
  if (!found) return [];
  const { classes, counts } = found;
  const totals = classes.map((_, right) => counts.reduce((sum, [own, , number]) => sum + (own === right ? number : 0), 0));
  if (classes.length > MOST_CLASSES) {
    const wrong = counts.filter(([right, given]) => right !== given).toSorted((one, other) => other[2] - one[2]);
    const lines = wrong.slice(0, MOST_CLASSES).map(([right, given, number]) => [`${classes[right]} as ${classes[given]}`, `${number} of ${totals[right]}`]);
    return [grid("Most frequent confusions", ["label as prediction", "answers"], lines)];
  }
  const numbers = classes.map(() => classes.map(() => 0));
  for (const [right, given, number] of counts) numbers[right][given] = number;
  const made = grid("Answers by class (rows: labels, columns: predictions)", ["", ...classes],
    classes.map((name, right) => [name, ...numbers[right].map(String)]));
  made.classList.add("confusion");
  return [made];
}

function recordOf(id, open) {
  const record = records[id];
  const title = element("summary", {},
    element("span", {}, `seed ${record.spec.seed}`),
    element("span", { class: "figures" }, score(record)),
    element("code", {}, id));
  const made = element("details", open ? { open: "" } : {}, title);
  const parts = [
    record.reason ? element("p", { class: "reason" }, record.reason) : null,
    ...costsOf(record.costs), limitsOf(record), listed("Notes", record.notes), listed("Run", record.spec),
    listed("Identity", record.identity), listed("Provenance", record.provenance),
  ];
  made.append(...parts.filter((part) => part !== null));
  return made;
}

/** Shows a row's records; the focus returns to its earlier place when the dialog closes. */
function showDetail(index) {
  const row = rows[index];
  const facts = [
    [row.value === null ? "score" : unitOf(row), score(row)],
    ...(row.tiers ? [["tier", row.too_few || row.tiers], ["ranks", row.ranks]] : []),
    ["episodes", `${row.episodes.toLocaleString("en")} over ${row.seeds} ${row.seeds === 1 ? "seed" : "seeds"}`],
    ...axes.map(({ field, title, unit }) => [title, `${number(row[field])} ${unit}`]),
    ...(row.pareto ? [["on the front of", row.pareto.replace("+", " and ")]] : []),
    ...(row.device ? [["device", row.device]] : []),
    ["protocol", String(row.protocol)],
  ];
  const close = element("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
  const dialog = byId("detail");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    element("header", {},
      element("div", {},
        element("h2", { id: "detail-title" }, labelOf(row)),
        element("p", {}, `${row.task} · ${row.backbone} · ${counted(row.shots)} · `,
          element("span", { class: `status ${row.status}` }, row.status.replace("_", " ")))),
      close),
    element("dl", { class: "facts" }, ...facts.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text)))),
    ...confusionOf(index),
    element("h3", {}, row.runs.length === 1 ? "1 run" : `${row.runs.length} runs`),
    ...row.runs.map((id, position) => recordOf(id, position === 0)));
  dialog.showModal();
}
