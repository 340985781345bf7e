/* Interaction: sorting, filtering and the open row. */

/** Milliseconds after the last letter of a search until the charts follow; the table does at once. */
const PAUSE = 150;
const OPPOSITE = { ascending: "descending", descending: "ascending" };
let loaded = false;
let ready = false;
let pause;

/** The direction of a column's first click: the better end first. */
function firstDirection(header) {
  const { field, first } = header.dataset;
  return field === "value" && shown.length && shown.every((index) => isLower(rows[index])) ? OPPOSITE[first] : first;
}

/** The column of a sort, and its direction; none for the order of the leaderboard. */
function sortOf(text = "") {
  const header = headers.find(({ dataset }) => dataset.field === text.replace(/^-/, ""));
  return { header, direction: header === undefined ? "none" : text.startsWith("-") ? "descending" : "ascending" };
}

/** The first click sorts, the second reverses, the third restores the order of the leaderboard. */
function sortBy(header) {
  const first = firstDirection(header);
  const next = { none: first, [first]: OPPOSITE[first], [OPPOSITE[first]]: "none" }[header.getAttribute("aria-sort")];
  writeState({ sort: next === "none" ? null : (next === "descending" ? "-" : "") + header.dataset.field });
  showTable(); // charts have no order
}

function refresh() {
  showTable();
  redraw();
}

function showTable() {
  if (!loaded) return;
  const filter = chosen();
  const found = passing(filter);
  const { header, direction } = sortOf(readState().sort);
  for (const other of headers) other.setAttribute("aria-sort", other === header ? direction : "none");
  const valueOf = (index) => rows[index][header.dataset.field];
  const ordered = header === undefined ? found : found.toSorted((one, two) => compare(valueOf(one), valueOf(two), direction));
  showRows(ordered, { ranked: header === undefined, single: filter.setting !== "" });
  byId("count").textContent = `${shown.length} of ${rows.length} results`;
  byId("none").hidden = shown.length > 0;
  byId("exported").textContent = "";
}

function redraw() {
  clearTimeout(pause);
  if (ready) drawCharts(chosen());
}

/** Offers only the shots and statuses of the chosen task. */
function offer() {
  const { setting } = chosen();
  const here = rows.filter((row) => setting === "" || settingOf(row) === settings[Number(setting)]);
  for (const [id, field] of [["shots", "shots"], ["status", "status"]]) {
    const present = new Set(here.map((row) => String(row[field])));
    for (const option of byId(id).options) option.hidden = option.value !== "" && !present.has(option.value);
    if (byId(id).selectedOptions[0].hidden) byId(id).value = "";
  }
}

/** The filter of the form, as the address has it; the first task needs no name there. */
function filterState() {
  const { setting, shots, status, front } = chosen();
  const [task, backbone] = setting === "" ? ["*", null] : setting === "0" ? [null, null] : settings[Number(setting)].split("\n");
  return { task, backbone, shots, status, search: byId("search").value, front: front ? "yes" : null };
}

/** Shows the page's state: the filter, the sorting and the open row. */
function showState() {
  const { task, backbone, shots, status, search = "", front, row, against } = readState();
  const place = settings.findIndex((one) => one === `${task}\n${backbone}` || (backbone === undefined && one.startsWith(`${task}\n`)));
  choose("setting", task === "*" ? "" : String(Math.max(place, 0)));
  offer();
  choose("shots", shots);
  choose("status", status);
  byId("search").value = search;
  byId("front").checked = front === "yes";
  showOpening();
  refresh();
  if (indexOf(row) === undefined) byId("detail").close();
  else openDetail(indexOf(row), indexOf(against));
}

async function start() {
  await loadResults();
  loaded = true;
  measureScales();
  fixWidths();
  showState();
  onStateChange(showState);
  document.documentElement.dataset.table = "ready";
  await unpackPlotly();
  ready = true;
  redraw();
  document.documentElement.dataset.charts = "ready";
}

for (const header of headers) header.firstElementChild.addEventListener("click", () => sortBy(header));
table.addEventListener("click", ({ target }) => {
  const line = target.closest("tr[data-row]");
  // A click anywhere in a row opens it; the button in it is for the keyboard. Selecting text opens nothing.
  if (line && (target.matches("button") || getSelection().isCollapsed)) showDetail(Number(line.dataset.row));
});
byId("detail").addEventListener("click", ({ target, currentTarget }) => target === currentTarget && currentTarget.close());
byId("detail").addEventListener("close", () => writeState({ row: null, against: null }));
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("input", ({ target }) => {
  offer();
  writeState(filterState(), { replace: target.id === "search" });
  if (target.id === "search") {
    showTable();
    clearTimeout(pause);
    pause = setTimeout(redraw, PAUSE);
  } else refresh();
});
byId("axis").addEventListener("change", redraw);
// After the listeners of theme.js.
byId("theme").addEventListener("click", redraw);
systemTheme.addEventListener("change", redraw);
byId("copy").addEventListener("click", async () => { byId("exported").textContent = await copied(exportText(byId("format").value)); });
byId("download").addEventListener("click", () => download(byId("format").value));

start().catch((error) => {
  const what = loaded ? "draw the charts" : "show the results";
  byId("broken").textContent = `This browser cannot ${what}: ${error.message}.`;
  byId("broken").hidden = false;
});
