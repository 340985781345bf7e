/* Details of a row: its records in words, with episodes, costs by stage, limits, host and command. */

const MOST_CLASSES = 15;

/** Records and confusion matrices of a part of the rows, unpacked once. */
const parts = new Map();
async function partOf(index) {
  const place = Math.floor(index / rowsOfPart);
  if (!parts.has(place)) parts.set(place, unpacked(byId(`part-${place}`)).then(JSON.parse));
  return parts.get(place);
}

/** An object's leaves as [path, text]. */
function leaves(value, path = "") {
  const nested = value !== null && typeof value === "object" && !Array.isArray(value);
  if (nested) return Object.entries(value).flatMap(([key, part]) => leaves(part, path ? `${path}.${key}` : key));
  return value === null ? [] : [[path, typeof value === "string" ? value : JSON.stringify(value)]];
}

/** A titled list of names and texts; null where there are none. */
function listed(title, pairs) {
  if (!pairs.length) return null;
  const items = pairs.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]);
  return element("section", {}, element("h4", {}, title), element("dl", {}, ...items));
}

/** A list of facts, side by side; the third text of one explains it. */
function factsList(facts) {
  return element("dl", { class: "facts" }, ...facts.map(([name, text, more]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, text, more ? note(more) : null))));
}

/** A small table; the first column is words, the others are numbers. */
function grid(title, header, lines) {
  const head = header.map((name, index) => (name === "" ? element("td") : element("th", { scope: "col", class: index ? "number" : "text" }, name)));
  const body = lines.map(([name, ...numbers]) =>
    element("tr", {}, element("th", { scope: "row" }, name), ...numbers.map((text) => element("td", { class: "number" }, text))));
  const made = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("section", {}, element("h4", {}, title), element("div", { class: "scroll", role: "region", "aria-label": title, tabindex: "0" }, made));
}

/** A command with a button that copies it. */
function commandBox(command) {
  const button = element("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", async () => { button.textContent = await copied(command); });
  return element("div", { class: "command" }, element("code", {}, command), button);
}

const several = (count, one, many = `${one}s`) => `${whole.format(count)} ${count === 1 ? one : many}`;
const share = (part) => `${(100 * part).toFixed(1)}%`;

function runOf({ spec, identity }) {
  const support = { 0: "none", full: "the full training set" }[spec.shots] ?? `${several(spec.shots, "labelled example")} per class`;
  return [
    ["task", spec.task], ["backbone", spec.backbone], ["support set", support],
    ["queries", spec.queries === null ? "all of the test set" : `${spec.queries} per class`],
    ["classes", spec.ways === null ? "all" : String(spec.ways)],
    ["episodes", String(spec.episodes)], ["seed", String(spec.seed)], ["precision", spec.precision],
    ...(spec.limit ? [["quick look", `at most ${several(spec.limit, "query", "queries")}`]] : []),
    ...(spec.prompt === "plain" ? [] : [["prompt", spec.prompt]]),
    ...(spec.template === 0 ? [] : [["template", String(spec.template)]]),
    ...(spec.tuning ? [["search", `${spec.tuning.trials} trials in ${number(spec.tuning.seconds)} s by ${spec.tuning.sampler}, validated by ${spec.tuning.validation}`]] : []),
    ...leaves(identity.config ?? spec.config).map(([name, text]) => [`setting ${name}`, text]),
  ];
}

function costsOf(costs) {
  if (!costs) return [];
  const stages = ["encode", "adapt", "query"].map((stage) => [stage, costs[stage]]);
  const optional = [["reserved MiB", "reserved_memory_mb"], ["FLOPs", "flops"]].filter(([, key]) => stages.some(([, cost]) => cost[key] !== null));
  const lines = stages.map(([stage, cost]) => [
    stage, number(cost.seconds), cost.seconds_spread ? `± ${number(cost.seconds_spread)}` : "–", number(cost.peak_memory_mb),
    ...optional.map(([, key]) => (cost[key] >= 1e6 ? cost[key].toExponential(2) : number(cost[key]))),
  ]);
  return [
    grid("Costs by stage", ["stage", "seconds", "between quartiles", "peak MiB", ...optional.map(([title]) => title)], lines),
    listed("Other costs", [
      ["measured", `${costs.repeats ? several(costs.repeats, "repeat") : "once"}, in ${costs.process === "fresh" ? "a process of its own" : "the process of the run"}, on ${costs.device}`],
      ["items", `${several(costs.n_support, "support item")} and ${several(costs.n_queries, "query", "queries")}; encoding was measured on ${costs.encode_sample}`],
      ["state", `${number(costs.state_mb)} MiB to answer the next query, ${number(costs.optimizer_mb)} MiB of the optimizer`],
      ["training", `${several(costs.trainable_params, "parameter")}, ${several(costs.steps, "step")}${costs.tokens ? `, ${several(costs.tokens, "token")}` : ""}`],
      ["encoding in the run", costs.encode_wall_seconds ? `${number(costs.encode_wall_seconds)} s, for all runs of its group` : "none, features were cached"],
      ["memory by", costs.memory_meter],
      ...(costs.measured_for ? [["measured for", `run ${costs.measured_for}, which has the same costs`]] : []),
    ]),
  ];
}

/** The host, and what else ran on it while costs were measured. company: why they count as measured in company. */
function hostOf({ costs, provenance }, company) {
  const found = [["adapting and answering", costs?.conditions], ["encoding", costs?.encode.conditions]].filter(([, conditions]) => conditions);
  if (!found.length) return provenance.host ? [["host", `${provenance.host}; the record does not say what else ran`]] : [];
  const [[, { host, cpu, cores, threads, memory_mb: memory }]] = found;
  return [
    ["host", `${host}: ${cpu}, ${several(cores, "core")}, ${several(threads, "thread")}, ${number(memory / 1024)} GiB of memory`],
    ["in company", company || "no: nothing else used the machine"],
    ...found.map(([stage, conditions]) => [stage, contentionOf(conditions)]),
  ];
}

function contentionOf({ cores, wall_seconds: wall, ...one }) {
  return [
    `${number(wall)} s measured`,
    one.others_cpu_seconds === null ? null : `other processes used ${share(one.others_cpu_seconds / (cores * wall || 1))} of the cores`,
    one.steal_seconds === null ? null : `other guests of the machine took ${share(one.steal_seconds / (cores * wall || 1))}`,
    one.pressure_seconds === null ? null : `some process waited for ${number(one.pressure_seconds)} s`,
    one.throttled_seconds === null ? null : `stopped for ${number(one.throttled_seconds)} s by the cgroup's limit`,
    one.load === null ? null : `load ${number(one.load)}`,
    one.frequency_mhz === null ? null : `${whole.format(one.frequency_mhz)} MHz`,
    one.gpu_processes === null ? null : several(one.gpu_processes, "other process of the device", "other processes of the device"),
    one.gpu_clock_mhz === null ? null : `device at ${whole.format(one.gpu_clock_mhz)} MHz`,
    one.gpu_throttling.length ? `device slowed down: ${one.gpu_throttling.join(", ")}` : null,
  ].filter((text) => text !== null).join("; ");
}

function limitsOf({ limits, violations }) {
  const limited = [...new Set([...Object.keys(limits), ...Object.keys(violations)])];
  if (!limited.length) return null;
  const lines = limited.map((axis) => [
    axis, number(limits[axis]), axis in violations ? number(violations[axis]) : "within", axis in violations ? "exceeded" : "kept",
  ]);
  return grid("Limits", ["axis", "limit", "measured", "kept"], lines);
}

/** The confusion matrix of a row, or its most frequent confusions where it would be too wide; nothing without one. */
function confusionOf(found) {
  if (!found) return [];
  const { classes, counts } = found;
  const totals = classes.map((_, right) => sumOf(counts.filter(([own]) => own === right).map(([, , times]) => times)));
  if (classes.length > MOST_CLASSES) {
    const wrong = counts.filter(([right, given]) => right !== given).toSorted((one, other) => other[2] - one[2]);
    const lines = wrong.slice(0, MOST_CLASSES).map(([right, given, times]) => [`${classes[right]} as ${classes[given]}`, `${times} of ${totals[right]}`]);
    return [grid("Most frequent confusions", ["label as prediction", "answers"], lines)];
  }
  const numbers = classes.map(() => classes.map(() => 0));
  for (const [right, given, times] of counts) numbers[right][given] = times;
  const made = grid("Answers by class (rows: labels, columns: predictions)", ["", ...classes],
    classes.map((name, right) => [name, ...numbers[right].map(String)]));
  made.classList.add("confusion");
  return [made];
}

/** A strip of the scores of each seed's episodes, on one scale. */
function stripsOf(row, records) {
  const scored = row.templates > 1 ? [] : scoredRecords(row, records).filter(({ episode_scores: scores }) => scores.length > 1);
  if (!scored.length) return [];
  const all = scored.flatMap(({ episode_scores: scores }) => scores);
  const range = [Math.min(...all), Math.max(...all)];
  return [element("h3", {}, "Scores by episode"), ...scored.map(({ spec, episode_scores: scores, metric }) =>
    strip(scores, range, (value) => inDecimals(value, metric), `seed ${spec.seed}, ${several(scores.length, "episode")}`))];
}

function recordOf(record, company, open) {
  const { provenance, id } = record;
  const title = element("summary", {},
    element("span", {}, `seed ${record.spec.seed}`),
    element("span", { class: "figures" }, score(record)),
    element("code", {}, id));
  const command = Array.isArray(provenance.command) ? provenance.command.map(quoted).join(" ") : "";
  const made = ["finished", "bench", "git", "python", "platform"].filter((name) => provenance[name]).map((name) => [name, String(provenance[name])]);
  const sections = [
    record.reason ? element("p", { class: "reason" }, record.reason) : null,
    ...(command ? [element("h4", {}, "Command"), commandBox(command)] : []),
    ...costsOf(record.costs), listed("Host", hostOf(record, company)), limitsOf(record), listed("Run", runOf(record)),
    listed("Notes of the method", leaves(record.notes)), listed("Provenance", made),
    element("details", {}, element("summary", {}, "The record as JSON"),
      element("pre", { tabindex: "0", role: "region", "aria-label": "The record as JSON" }, JSON.stringify(record, null, 1))),
  ];
  return element("details", open ? { open: "" } : {}, title, ...sections);
}

const factsOf = (row) => [
  [row.value === null ? "score" : unitOf(row), score(row)],
  ...(row.tiers ? [["tier", row.too_few || row.tiers], ["ranks", row.ranks]] : []),
  ["episodes", `${whole.format(row.episodes)} over ${several(row.seeds, "seed")}`],
  ...axes.map(({ field, title, unit, description }) => [title, `${number(row[field])} ${unit}${sign(row, field)}`, description]),
  ...(row.pareto ? [["on the front of", row.pareto.replace("+", " and ")]] : []),
  ...(row.device ? [["device", row.device]] : []),
  ["protocol", String(row.protocol)],
];

/** Shows a row, alone or compared with another one, where the address says so. */
async function openDetail(index, against) {
  const row = rows[index];
  const both = await Promise.all([index, against].filter((one) => one !== undefined).map(partOf));
  if (indexOf(readState().row) !== index || indexOf(readState().against) !== against) return; // another one meanwhile
  const records = Object.assign({}, ...both.map((part) => part.records));
  const [{ company, confusions }] = both;
  const close = element("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
  const dialog = byId("detail");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    element("header", {},
      element("div", {},
        element("h2", { id: "detail-title" }, labelOf(row)),
        element("p", {}, `${row.task} · ${row.backbone} · ${counted(row.shots)} · `,
          element("span", { class: `status ${row.status}` }, statusOf(row)))),
      close),
    ...[comparisonChoice(index, against)].filter((choice) => choice !== null),
    ...(against === undefined ? [] : [comparisonOf(index, against, both, records)]),
    factsList(factsOf(row)),
    ...stripsOf(row, records),
    ...confusionOf(confusions[index]),
    element("h3", {}, several(row.runs.length, "run")),
    ...row.runs.map((id, position) => recordOf(records[id], company[id] ?? "", position === 0)));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

/** Opens a row; the focus returns to its earlier place when the dialog closes. */
function showDetail(index) {
  writeState({ row: keyOf(rows[index]), against: null });
  openDetail(index);
}
