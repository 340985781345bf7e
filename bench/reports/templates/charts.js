/* Score against time, memory, shots and budget, for one task at a time. */

/** Marks of highlighted methods, in the legend and in Plotly; all others are grey. */
const MARKS = [
  ["●", "circle"], ["■", "square"], ["◆", "diamond"], ["▲", "triangle-up"], ["▼", "triangle-down"], ["★", "star"], ["✚", "cross"], ["✖", "x"],
];

/** A colour of the style sheet in the present theme. */
function colour(name) {
  const probe = byId("count");
  probe.style.color = `var(--${name})`;
  const value = getComputedStyle(probe).color;
  probe.style.color = "";
  return value;
}

/** Text for Plotly, which takes some characters in labels for markup. */
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Unpacks Plotly, which is a compressed part of the page; resolves when it is ready. */
async function unpackPlotly() {
  const packed = byId("plotly");
  const code = await unpacked(packed);
  packed.remove();
  document.head.append(element("script", {}, code));
}

/** A logarithmic axis with a tick at each power of ten, or at 1, 2 and 5 of each where there are few of them. */
function logAxis(values, title) {
  const [low, high] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  const steps = high - low > 1.5 ? [1] : [1, 2, 5];
  const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, index) => Math.floor(low) + index);
  const tickvals = powers.flatMap((power) => steps.map((step) => step * 10 ** power));
  const ticktext = tickvals.map((value) => value.toLocaleString("en", { maximumSignificantDigits: 1 }));
  return { type: "log", title, tickvals, ticktext, tickangle: 0 };
}

/** Axes, fonts and margins of all charts. */
function layout(xaxis, sample) {
  const ink = colour("muted");
  const titled = (text) => ({ text: plain(text), font: { size: 12 }, standoff: 8 });
  const axis = { gridcolor: colour("rule"), linecolor: colour("rule"), zeroline: false, ticks: "", fixedrange: true, automargin: true };
  return {
    height: 300,
    margin: { l: 40, r: 12, t: 10, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink },
    hovermode: "closest",
    hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("rule"), font: { color: colour("ink") }, align: "left" },
    showlegend: false,
    xaxis: { ...axis, ...xaxis, title: titled(xaxis.title) },
    // Up is better, whatever the metric.
    yaxis: { ...axis, title: titled(unitOf(sample)), autorange: isLower(sample) ? "reversed" : true },
  };
}

function hoverText(row) {
  const lines = [
    `<b>${plain(labelOf(row))}</b>`, `${score(row)} · ${counted(row.shots)}`,
    ...axes.filter(({ front }) => front).map(({ field, title, unit }) => `${title} ${number(row[field])} ${unit}`),
  ];
  return [...lines, ...(row.status === "ok" ? [] : [plain(row.status)])].join("<br>");
}

/** Trace of points of some rows. `x` is a function from a row to its horizontal position. */
function points(indices, x, more) {
  return {
    type: "scatter",
    x: indices.map((index) => x(rows[index])),
    y: indices.map((index) => rows[index].value),
    customdata: indices,
    hovertext: indices.map((index) => hoverText(rows[index])),
    hoverinfo: "text",
    cliponaxis: false,
    ...more,
  };
}

function whiskers(indices, shade) {
  const reach = (end) => indices.map((index) => Math.abs((rows[index][end] ?? rows[index].value) - rows[index].value));
  return {
    type: "data", symmetric: false, array: reach("ci_high"), arrayminus: reach("ci_low"), color: shade, thickness: 1, width: 0,
  };
}

const caption = (chart, text) => { byId(chart).querySelector("figcaption p").textContent = text; };
const describe = (chart, text) => byId(chart).querySelector(".plot").setAttribute("aria-label", text);

function draw(id, traces, format) {
  const plot = byId(id).querySelector(".plot");
  Plotly.react(plot, traces, format, { displayModeBar: false, responsive: true });
  plot.removeAllListeners("plotly_click");
  plot.on("plotly_click", ({ points: [point] }) => point.customdata !== undefined && showDetail(point.customdata));
}

/** Names rows without a score below the charts, so that no result is hidden. */
function leaveOut(indices) {
  const named = indices.filter((index) => rows[index].value === null)
    .map((index) => `${labelOf(rows[index])} (${rows[index].status.replace("_", " ")})`);
  byId("left-out").textContent = named.length ? `Without a score, and so in no chart: ${[...new Set(named)].join(", ")}` : "";
}

/** Whether a row counts at a number of shots; a method without a support set is a rival at each. */
const atShots = (row, shots) => row.shots === shots || row.shots === 0;

/** Highlighted methods: those on a front at these shots, then the best, in the order of their scores. */
function featured(indices, shots) {
  const best = indices.map((index) => rows[index]).filter((row) => row.value !== null && atShots(row, shots))
    .sort((first, second) => sortScore(second) - sortScore(first));
  const candidates = new Set([...best.filter((row) => row.pareto), ...best].map(nameOf));
  const kept = new Set([...candidates].slice(0, MARKS.length));
  const ordered = new Set(best.map(nameOf).filter((name) => kept.has(name)));
  return new Map([...ordered].map((name, position) => {
    const [glyph, symbol] = MARKS[position];
    return [name, { shade: `series-${position + 1}`, glyph, symbol }];
  }));
}

function drawLegend(marks, indices) {
  const drawn = indices.filter((index) => rows[index].value !== null);
  const others = new Set(drawn.map((index) => nameOf(rows[index]))).size - marks.size;
  const items = [...marks].map(([name, { shade, glyph }]) =>
    element("li", {}, element("span", { class: "glyph", style: `color: var(--${shade})`, "aria-hidden": "true" }, glyph), name));
  if (others > 0) items.push(element("li", { class: "others" }, `${others} ${others === 1 ? "other" : "others"} in grey`));
  byId("legend").replaceChildren(...items);
}

/** Score against a cost at one number of shots. chart: the figure's id, which is the front's name too. */
function drawCost(chart, field, title, indices, shots, marks) {
  const scored = indices.filter((index) => {
    const row = rows[index];
    return atShots(row, shots) && row.value !== null && row[field] !== null;
  });
  const front = scored.filter((index) => rows[index].pareto.split("+").includes(chart))
    .sort((first, second) => rows[first][field] - rows[second][field]);
  // A logarithmic axis has no zero: costs of zero are drawn left of all others, and their labels say 0.
  const costs = scored.map((index) => rows[index][field]).filter((cost) => cost > 0);
  const floor = costs.length ? Math.min(...costs) / 2 : 1;
  const place = (row) => row[field] || floor;
  const markOf = (index) => marks.get(nameOf(rows[index]));
  const traces = [
    { ...points(front, place, { mode: "lines", line: { shape: "hv", width: 1.25, color: colour("muted") } }), hoverinfo: "skip" },
    // Grey ones first, so that highlighted ones lie above them.
    ...[...scored].sort((first, second) => Boolean(markOf(first)) - Boolean(markOf(second))).map((index) => {
      const mark = markOf(index);
      const shade = colour(mark?.shade ?? "faint");
      const marker = { size: mark ? 10 : 7, color: shade, symbol: mark?.symbol ?? "circle" };
      return points([index], place, { mode: "markers", marker, error_y: whiskers([index], shade) });
    }),
  ];
  caption(chart, `${counted(shots)}; the line is the front`);
  describe(chart, `Scatter of ${scored.length} results. On the front: ${front.map((index) => labelOf(rows[index])).join(", ") || "none"}.`);
  draw(chart, traces, layout(logAxis([floor * 2, ...scored.map((index) => place(rows[index]))], title), rows[indices[0]]));
}

/** Lines of the rows that `key` gives the same name, joined in the order of `x`. axis: Plotly's for `x`. */
function drawLines(chart, indices, key, x, axis, marks) {
  const scored = indices.filter((index) => rows[index].value !== null);
  const markOf = (line) => marks.get(nameOf(rows[line[0]]));
  const lines = [...Map.groupBy(scored, (index) => key(rows[index])).values()]
    .sort((first, second) => Boolean(markOf(first)) - Boolean(markOf(second)));
  const traces = lines.map((line) => {
    const mark = markOf(line);
    const shade = colour(mark?.shade ?? "faint");
    return points(line.sort((first, second) => shotsRank(x(rows[first])) - shotsRank(x(rows[second]))), x, {
      mode: "lines+markers",
      line: { width: mark ? 1.75 : 1, color: shade },
      marker: { size: mark ? 7 : 4, color: shade, symbol: mark?.symbol ?? "circle" },
      ...(mark ? { error_y: whiskers(line, shade) } : {}),
    });
  });
  describe(chart, `${lines.length} lines: ${lines.map(([index]) => key(rows[index])).join(", ")}.`);
  draw(chart, traces, layout(axis, rows[indices[0]]));
}

function drawShots(indices, marks) {
  const seen = [...new Set(indices.map((index) => rows[index].shots))].sort((first, second) => shotsRank(first) - shotsRank(second));
  const axis = { type: "category", title: "shots per class", categoryorder: "array", categoryarray: seen };
  caption("by-shots", "the same methods at every number of shots");
  drawLines("by-shots", indices, labelOf, (row) => row.shots, axis, marks);
}

function drawBudget(indices, shots, marks) {
  const here = indices.filter((index) => rows[index].shots === shots);
  const axes = [...new Set(here.flatMap((index) => Object.keys(rows[index].limits)))];
  byId("by-budget").hidden = axes.length === 0;
  if (!axes.length) return;
  const select = byId("axis");
  const axis = axes.includes(select.value) ? select.value : axes[0];
  select.replaceChildren(...axes.map((name) => new Option(name, name, false, name === axis)));
  const limit = (row) => row.limits[axis];
  const limited = here.filter((index) => limit(rows[index]) !== undefined);
  drawLines("by-budget", limited, nameOf, limit, logAxis(limited.map((index) => limit(rows[index])), axis), marks);
}

/** Draws all charts for the rows of one task; several tasks have no scale in common. */
function drawCharts(filter) {
  const indices = passing({ ...filter, shots: "" });
  const single = new Set(indices.map((index) => settingOf(rows[index]))).size === 1;
  const drawn = single && indices.some((index) => rows[index].value !== null);
  document.querySelector(".charts").hidden = !drawn;
  byId("legend").hidden = !drawn;
  byId("no-charts").hidden = single || !indices.length;
  leaveOut(drawn ? indices : []);
  if (!drawn) return;
  const shots = shotsOf(indices, filter);
  const marks = featured(indices, shots);
  drawLegend(marks, indices);
  drawBudget(indices, shots, marks); // first: whether it is there decides how wide the others are
  for (const { field, title, unit, front } of axes.filter((axis) => axis.front)) {
    drawCost(front, field, `${title}, ${unit}`, indices, shots, marks);
  }
  drawShots(indices, marks);
}

/** Number of shots in the charts of costs: that of the filter, or the one with most scores, the larger of equals. */
function shotsOf(indices, filter) {
  const filtered = indices.map((index) => rows[index].shots).find((shots) => String(shots) === filter.shots);
  const scored = indices.filter((index) => rows[index].value !== null);
  const counts = Map.groupBy(scored, (index) => rows[index].shots);
  const usual = [...counts.keys()].sort((first, second) =>
    counts.get(second).length - counts.get(first).length || shotsRank(second) - shotsRank(first));
  return filtered ?? usual[0];
}
