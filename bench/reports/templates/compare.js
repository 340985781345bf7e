/* Comparison of the open row with another one: paired by episodes, or by queries where the page has those. */

const scoredRecords = (row, records) => row.runs.map((id) => records[id]).filter((record) => record.episode_scores.length);

/** What the episodes of a record were drawn from, by name; two records share episodes where all of it is equal. */
const drawOf = (record, row) => ({
  task: record.spec.task, "revision of the data": record.identity.data, template: record.identity.template,
  ways: record.spec.ways ?? "all", "queries per class": record.spec.queries ?? "all", "limit of queries": record.spec.limit,
  "protocol of the harness": row.protocol,
});

/** Names of what two rows were drawn differently by. */
function drawnApart(own, other) {
  return Object.keys(own).filter((name) => JSON.stringify(own[name] ?? null) !== JSON.stringify(other[name] ?? null));
}

/** Scores of a row by seed and number of the episode. */
function episodesOf(row, records) {
  return new Map(scoredRecords(row, records).flatMap(({ spec, episode_scores }) =>
    episode_scores.map((value, place) => [`${spec.seed} ${place}`, { value, seed: spec.seed }])));
}

/** Why two rows cannot be compared; empty where they can. records: of both. */
function whyNot(own, other, records) {
  if (own.templates > 1 || other.templates > 1) return "A mean over templates has no episodes of its own; compare rows of one template.";
  for (const row of [own, other]) if (row.value === null) return `${labelOf(row)} has no score: ${statusOf(row)}.`;
  if (own.metric !== other.metric) return `Their metrics differ: ${unitOf(own)}, and ${unitOf(other)}.`;
  if (own.backbone !== other.backbone) return `Their backbones differ: ${own.backbone} and ${other.backbone}.`;
  if (own.shots !== other.shots && own.shots !== 0 && other.shots !== 0) return `Their support sets differ: ${counted(own.shots)} and ${counted(other.shots)}.`;
  const draws = [own, other].map((row) => drawOf(scoredRecords(row, records)[0], row));
  const apart = drawnApart(...draws).map((name) => `${name} (${[draws[0][name], draws[1][name]].map((value) => value ?? "none").join(" and ")})`);
  if (apart.length) return `Their episodes were drawn differently: ${apart.join(", ")}.`;
  const [first, second] = [own, other].map((row) => episodesOf(row, records));
  if (![...first.keys()].some((name) => second.has(name))) {
    const seeds = [own, other].map((row) => scoredRecords(row, records).map(({ spec }) => spec.seed).join(", "));
    return `They share no episode: seeds ${seeds.join(" and ")}.`;
  }
  return "";
}

/** A word of a command line. */
const quoted = (word) => (/^[\w.:=,@/+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** The command that makes the same comparison. */
function commandOf(own, other) {
  const shots = own.shots === 0 ? other.shots : own.shots;
  const tuned = own.tuning_trials || other.tuning_trials ? ["--tuned"] : [];
  return ["bench", "compare", own.full_name, other.full_name, "--task", own.task, ...(shots === 0 ? [] : ["--shots", String(shots)]), ...tuned].map(quoted).join(" ");
}

/** The comparison of two rows by queries that the page has, made where their predictions are; undefined without one. */
function keptPair(index, against, parts) {
  const [first, second] = index < against ? [index, against] : [against, index];
  const found = parts.map(({ pairs }) => pairs[first]?.[second]).find((pair) => pair !== undefined);
  if (found === undefined || index === first) return found;
  return { ...found, a: found.b, b: found.a, difference: -found.difference, low: -found.high, high: -found.low };
}

/** Both rows' scores on the episodes that they share, and their comparison: that by queries where the page has one. */
function pairOf(index, against, parts, records) {
  const [own, other] = [rows[index], rows[against]];
  const [first, second] = [own, other].map((row) => episodesOf(row, records));
  const names = [...first.keys()].filter((name) => second.has(name));
  const shared = [own, other].some((row) => scoredRecords(row, records).some(({ shared_draws }) => shared_draws !== false));
  const { low, high } = metrics[own.metric];
  const found = comparePaired(
    names.map((name) => first.get(name).value), names.map((name) => second.get(name).value),
    shared ? names.map((name) => first.get(name).seed) : null, [low, high]);
  const passes = scoredRecords(own, records)[0].spec.queries === null;
  const kept = keptPair(index, against, parts);
  return {
    ...found, unit: "episodes", n_units: names.length, too_few: false, ...kept,
    episodes: names.length, all: [first.size, second.size], untested: !kept && (passes || names.length < tests.least_episodes),
  };
}

/** A difference of scores, with a sign and one decimal more than a score. */
function signed(value, metric) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(metrics[metric].decimals + 1);
}

/** The verdict on a pair, in words. */
function verdictOf(own, other, { low, high, p, difference, unit, too_few: tooFew, untested, episodes }) {
  if (untested) {
    const why = episodes < tests.least_episodes
      ? `${several(episodes, "shared episode is", "shared episodes are")} too few for a test by episodes`
      : "each episode has all queries, so that episodes alone say too little";
    return `No verdict here: ${why}, and the page has no queries of these rows. This command compares the two by them:`;
  }
  if (tooFew) return `Too few ${unit} to find any difference. The same by command:`;
  if (p >= tests.alpha || (low <= 0 && high >= 0)) return "No significant difference. The same by command:";
  const better = difference > 0 === !isLower(own) ? own : other;
  return `${labelOf(better)} is better. The same by command:`;
}

/** The differences of shared episodes, as facts and as a strip; nothing of a single one. */
function episodesApart(own, { differences }) {
  if (differences.length < 2) return { facts: [], strips: [] };
  const sides = { better: 0, equal: 0, worse: 0 };
  for (const difference of differences) sides[difference === 0 ? "equal" : difference > 0 === !isLower(own) ? "better" : "worse"] += 1;
  const reach = Math.max(...differences.map(Math.abs)) || 1;
  return {
    facts: [["episodes", `${sides.better} better, ${sides.equal} equal, ${sides.worse} worse`]],
    strips: [strip(differences, [-reach, reach], (value) => signed(value, own.metric), `differences of ${differences.length} episodes`)],
  };
}

/** The section of a comparison: the difference with its interval, and the differences by episode. parts: of both rows. */
function comparisonOf(index, against, parts, records) {
  const [own, other] = [rows[index], rows[against]];
  const title = element("h3", {}, `${labelOf(own)} minus ${labelOf(other)}`);
  const reason = whyNot(own, other, records);
  if (reason) return element("section", { class: "comparison" }, title, element("p", {}, `Not comparable. ${reason}`));
  const found = pairOf(index, against, parts, records);
  const { metric } = own;
  const apart = episodesApart(own, found);
  const facts = [
    ["difference", `${signed(found.difference, metric)}, ${unitOf(own)}`],
    ...(found.untested ? [] : [
      ["95% interval", `${signed(found.low, metric)} to ${signed(found.high, metric)}`],
      ["p", `${found.p < 0.0001 ? "below 0.0001" : number(found.p)} by ${found.test}, ${whole.format(found.n_units)} ${found.unit}`],
    ]),
    [labelOf(own), inDecimals(found.a, metric)],
    [labelOf(other), inDecimals(found.b, metric)],
    ["shared episodes", new Set([found.episodes, ...found.all]).size === 1 ? String(found.episodes) : `${found.episodes} of ${found.all.join(" and ")}`],
    ...apart.facts,
  ];
  return element("section", { class: "comparison" },
    title, factsList(facts), ...apart.strips, element("p", {}, verdictOf(own, other, found)), commandBox(commandOf(own, other)));
}

/** The choice of another row of the same task; choosing one compares it with the open row. */
function comparisonChoice(index, against) {
  const own = rows[index];
  const rivals = [...rows.keys()].filter((one) => one !== index && rows[one].value !== null && settingOf(rows[one]) === settingOf(own));
  if (own.value === null || !rivals.length) return null;
  const near = rivals.toSorted((one, other) => (rows[other].shots === own.shots) - (rows[one].shots === own.shots));
  const options = near.map((one) => new Option(`${labelOf(rows[one])}, ${counted(rows[one].shots)}: ${score(rows[one])}`, keyOf(rows[one]), false, one === against));
  const select = element("select", { id: "against" }, new Option("choose a row", ""), ...options);
  select.addEventListener("change", () => {
    writeState({ against: select.value });
    openDetail(index, indexOf(select.value)).then(() => byId("against")?.focus());
  });
  return element("label", { class: "against" }, "Compare with ", select);
}
