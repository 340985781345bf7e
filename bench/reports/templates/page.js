/* Interaction: sorting, filtering, details and the theme. */

const body = document.querySelector("#results tbody");
const lines = [...body.rows];
const headers = [...document.querySelectorAll("#results th[data-field]")];
const OPPOSITE = { ascending: "descending", descending: "ascending" };
let ready = false;

/** The direction of a column's first click: the better end first. */
function firstDirection(header, shown) {
  const { field, first } = header.dataset;
  return field === "value" && shown.length && shown.every((index) => isLower(rows[index])) ? OPPOSITE[first] : first;
}

/** The first click sorts, the second reverses, the third restores the order of the leaderboard. */
function sortBy(header) {
  const first = firstDirection(header, passing(chosen()));
  const next = { none: first, [first]: OPPOSITE[first], [OPPOSITE[first]]: "none" }[header.getAttribute("aria-sort")];
  for (const other of headers) other.setAttribute("aria-sort", other === header ? next : "none");
  const valueOf = (line) => rows[line.dataset.row][header.dataset.field];
  const order = next === "none" ? lines : lines.toSorted((one, two) => compare(valueOf(one), valueOf(two), next));
  body.append(...order);
  byId("results").classList.toggle("ranked", next === "none");
}

function refresh() {
  const filter = chosen();
  const shown = new Set(passing(filter));
  for (const line of lines) line.hidden = !shown.has(Number(line.dataset.row));
  let last = null;
  for (const line of lines.filter((line) => !line.hidden)) {
    const row = rows[line.dataset.row];
    line.classList.toggle("first", last !== null && (row.shots !== last.shots || settingOf(row) !== settingOf(last)));
    last = row;
  }
  byId("results").classList.toggle("single", filter.setting !== "");
  byId("count").textContent = `${shown.size} of ${rows.length} results`;
  byId("none").hidden = shown.size > 0;
  if (ready) drawCharts(filter);
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

function setTheme(dark) {
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-pressed", String(dark));
  refresh();
}

for (const header of headers) header.firstElementChild.addEventListener("click", () => sortBy(header));
body.addEventListener("click", ({ target }) => {
  // A click anywhere in a row opens it; the button in it is for the keyboard. Selecting text opens nothing.
  if (target.matches("button") || getSelection().isCollapsed) showDetail(Number(target.closest("tr").dataset.row));
});
byId("detail").addEventListener("click", ({ target, currentTarget }) => target === currentTarget && currentTarget.close());
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("input", () => { offer(); refresh(); });
byId("axis").addEventListener("change", refresh);
byId("theme").addEventListener("click", () => setTheme(byId("theme").getAttribute("aria-pressed") !== "true"));

const systemDark = matchMedia("(prefers-color-scheme: dark)");
systemDark.addEventListener("change", () => setTheme(systemDark.matches));
offer();
setTheme(systemDark.matches);
unpackPlotly().then(
  () => {
    ready = true;
    refresh();
    document.documentElement.dataset.charts = "ready";
  },
  (error) => {
    byId("no-charts").textContent = `This browser cannot draw the charts (${error.message}).`;
    byId("no-charts").hidden = false;
  },
);
