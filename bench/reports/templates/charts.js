/* Scores and costs against time, memory, shots and budget, for one task at a time. */

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

/** Axes, fonts and margins of all charts. */
function layout(xaxis, yaxis) {
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
    yaxis: { ...axis, ...yaxis, title: titled(yaxis.title) },
  };
}

/** The axis of scores; up is better, whatever the metric. */
const scoreAxis = (sample) => ({ title: unitOf(sample), autorange: isLower(sample) ? "reversed" : true });
const titleOfCost = ({ title, unit }) => `${title}, ${unit}`;

/** A logarithmic axis of some quantity of rows, and the place of a row on it. It has no zero: 0 is before all others. */
function logPlaces(indices, valueOf, title) {
  const values = indices.map((index) => valueOf(rows[index]));
  const above = values.filter((value) => value > 0);
  const floor = above.length ? Math.min(...above) / 2 : 1;
  const place = (row) => valueOf(row) || floor;
  return { place, axis: logAxis(values.length ? values.map((value) => value || floor) : [floor], title) };
}

function hoverText(row) {
  const lines = [
    `<b>${plain(labelOf(row))}</b>`, `${score(row)} · ${counted(row.shots)}`,
    ...axes.filter((axis) => axis.front || axis === chartCost())
      .map(({ field, title, unit }) => `${title} ${number(row[field])} ${unit}`),
  ];
  return [...lines, ...(row.status === "ok" ? [] : [plain(row.status)])].join("<br>");
}

/** Trace of points of some rows; null is a gap in a line. `x`, `y`: functions from a row to its position. */
function points(indices, x, more, y = (row) => row.value) {
  const each = (valueOf) => indices.map((index) => (index === null ? null : valueOf(rows[index])));
  return {
    type: "scatter",
    x: each(x),
    y: each(y),
    customdata: indices,
    hovertext: each(hoverText),
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
  if (byId(id).hidden) return;
  const plot = byId(id).querySelector(".plot");
  Plotly.react(plot, traces, format, { displayModeBar: false, responsive: true });
  plot.removeAllListeners("plotly_click");
  plot.on("plotly_click", ({ points: [point] }) => point.customdata !== undefined && showDetail(point.customdata));
}

/** Names rows without a score below the charts, so that no result is hidden. */
function leaveOut(indices) {
  const named = indices.filter((index) => rows[index].value === null)
    .map((index) => `${labelOf(rows[index])} (${statusOf(rows[index])})`);
  byId("left-out").textContent = named.length ? `Without a score, and so in no chart: ${[...new Set(named)].join(", ")}` : "";
}

/** Whether a row counts at a number of shots; a method without a support set is a rival at each. */
const atShots = (row, shots) => row.shots === shots || row.shots === 0;

/**
 * Traces of points, or of lines: first one of all grey ones, since Plotly takes a millisecond for each trace, then those in
 * colour, pinned ones last. markOf: a function to the mark of one; undefined for grey. grey: a function to the trace of
 * some; marked: to that of one with its mark.
 */
function greyFirst(list, markOf, grey, marked) {
  const others = list.filter((one) => markOf(one) === undefined);
  const inColour = list.filter((one) => markOf(one) !== undefined)
    .sort((first, second) => markOf(first).pinned - markOf(second).pinned);
  return [...(others.length ? [grey(others)] : []), ...inColour.map((one) => marked(one, markOf(one)))];
}

/** Score against a cost at one number of shots. chart: the figure's id, which is the front's name too. */
function drawCost(chart, field, title, indices, shots, marks) {
  const scored = indices.filter((index) => {
    const row = rows[index];
    return atShots(row, shots) && row.value !== null && row[field] !== null;
  });
  const front = scored.filter((index) => rows[index].pareto.split("+").includes(chart))
    .sort((first, second) => rows[first][field] - rows[second][field]);
  const { place, axis } = logPlaces(scored, (row) => row[field], title);
  const markOf = (index) => marks.get(nameOf(rows[index]));
  const faint = colour("faint");
  const traces = [
    { ...points(front, place, { mode: "lines", line: { shape: "hv", width: 1.25, color: colour("muted") } }), hoverinfo: "skip" },
    ...greyFirst(scored, markOf,
      (some) => points(some, place, { mode: "markers", marker: { size: 7, color: faint }, error_y: whiskers(some, faint) }),
      (index, { shade, symbol, pinned, opacity }) => {
        const marker = { size: pinned ? 13 : 10, color: colour(shade), symbol };
        return points([index], place, { mode: "markers", marker, opacity, error_y: whiskers([index], colour(shade)) });
      }),
  ];
  caption(chart, `${counted(shots)}; the line is the front`);
  describe(chart, `Scatter of ${scored.length} results. On the front: ${front.map((index) => labelOf(rows[index])).join(", ") || "none"}.`);
  draw(chart, traces, layout(axis, scoreAxis(rows[indices[0]])));
}

/** Lines of the rows that `key` gives the same name, joined in the order of `x`. cost: an axis of cost, or none for scores. */
function drawLines(chart, indices, key, x, axis, marks, cost) {
  const scored = indices.filter((index) => rows[index].value !== null && (cost === undefined || rows[index][cost.field] !== null));
  const markOf = (line) => marks.get(nameOf(rows[line[0]]));
  const across = (one, other) => shotsRank(x(rows[one])) - shotsRank(x(rows[other]));
  const lines = [...Map.groupBy(scored, (index) => key(rows[index])).values()].map((line) => line.sort(across));
  const vertical = cost === undefined
    ? { axis: scoreAxis(rows[indices[0]]) } : logPlaces(scored, (row) => row[cost.field], titleOfCost(cost));
  const faint = colour("faint");
  const drawn = (line, more) => points(line, x, { mode: "lines+markers", ...more }, vertical.place);
  const traces = greyFirst(lines, markOf,
    (some) => drawn(some.flatMap((line) => [...line, null]), { line: { width: 1, color: faint }, marker: { size: 4, color: faint } }),
    (line, { shade, symbol, pinned, opacity }) => drawn(line, {
      opacity,
      line: { width: pinned ? 3 : 1.75, color: colour(shade) },
      marker: { size: 7, color: colour(shade), symbol },
      ...(cost === undefined ? { error_y: whiskers(line, colour(shade)) } : {}),
    }));
  describe(chart, `${lines.length} lines: ${lines.map(([index]) => key(rows[index])).join(", ")}.`);
  draw(chart, traces, layout(axis, vertical.axis));
}

/** The cost of the charts of costs, an axis: that of the address, or the state. */
const chartCost = () => axes.find(({ field }) => field === (readState().chart ?? "state_mb")) ?? axes[0];

function drawShots(indices, marks) {
  const seen = [...new Set(indices.map((index) => rows[index].shots))].sort((first, second) => shotsRank(first) - shotsRank(second));
  const axis = { type: "category", title: "shots per class", categoryorder: "array", categoryarray: seen };
  caption("by-shots", "the same methods at every number of shots");
  drawLines("by-shots", indices, labelOf, (row) => row.shots, axis, marks);
  drawLines("cost-by-shots", indices, labelOf, (row) => row.shots, axis, marks, chartCost());
}

function drawBudget(indices, shots, marks) {
  const here = indices.filter((index) => rows[index].shots === shots);
  const names = [...new Set(here.flatMap((index) => Object.keys(rows[index].limits)))];
  if (!names.length) return;
  const select = byId("axis");
  const name = names.includes(select.value) ? select.value : names[0];
  select.replaceChildren(...names.map((each) => new Option(each, each, false, each === name)));
  const limited = here.filter((index) => name in rows[index].limits);
  const { place, axis } = logPlaces(limited, (row) => row.limits[name], name);
  drawLines("by-budget", limited, nameOf, place, axis, marks);
  caption("cost-by-budget", `${titleOfCost(chartCost())}, by limits of ${name}`);
  drawLines("cost-by-budget", limited, nameOf, place, axis, marks, chartCost());
}

/** Shows the charts that these rows have something for: how many there are decides how wide each is. */
function showFigures(indices, shots) {
  const scored = indices.filter((index) => rows[index].value !== null);
  byId("cost-by-shots").hidden = new Set(scored.map((index) => rows[index].shots)).size < 2;
  const limited = indices.some((index) => rows[index].shots === shots && Object.keys(rows[index].limits).length);
  byId("by-budget").hidden = byId("cost-by-budget").hidden = !limited;
}

/** Draws all charts for the rows of one task; several tasks have no scale in common. */
function drawCharts(filter) {
  if (byId("panel-results").hidden) return; // without a size; the tab draws them when it is shown
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
  byId("chart-cost").value = chartCost().field;
  showFigures(indices, shots);
  drawBudget(indices, shots, marks);
  for (const axis of axes.filter(({ front }) => front)) {
    drawCost(axis.front, axis.field, titleOfCost(axis), indices, shots, marks);
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

byId("chart-cost").addEventListener("change", ({ target }) => {
  writeState({ chart: target.value });
  redraw();
});
