/* Filter of lines, and the theme. */

const byId = (id) => document.getElementById(id);
const charts = [...document.querySelectorAll(".line")];

function refresh() {
  const words = byId("search").value.trim().toLowerCase();
  for (const section of document.querySelectorAll(".row")) {
    const named = section.dataset.name.includes(words);
    for (const chart of section.querySelectorAll(".line")) {
      chart.hidden = !named || (byId("changed").checked && !chart.dataset.changed);
    }
    section.hidden = [...section.querySelectorAll(".line")].every((chart) => chart.hidden);
  }
  byId("count").textContent = `${charts.filter((chart) => !chart.hidden).length} of ${charts.length} lines`;
}

function setTheme(dark) {
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  byId("theme").textContent = dark ? "Light" : "Dark";
  byId("theme").setAttribute("aria-pressed", String(dark));
}

byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filters").addEventListener("input", refresh);
byId("theme").addEventListener("click", () => setTheme(byId("theme").getAttribute("aria-pressed") !== "true"));
// A link to a chart that the filter hides shows it.
addEventListener("hashchange", () => {
  const target = byId(location.hash.slice(1));
  if (!target?.hidden) return;
  byId("search").value = "";
  byId("changed").checked = false;
  refresh();
  target.scrollIntoView();
});
setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
refresh();
