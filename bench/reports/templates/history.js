/* The lines of a history: their filter, and links to them. */
{
  const part = (name) => document.getElementById(`history-${name}`);
  const charts = [...document.querySelectorAll(".history .line")];

  const filter = () => {
    const words = part("search").value.trim().toLowerCase();
    for (const section of document.querySelectorAll(".history .row")) {
      const named = section.dataset.name.includes(words);
      for (const chart of section.querySelectorAll(".line")) {
        chart.hidden = !named || (part("changed").checked && !chart.dataset.changed);
      }
      section.hidden = [...section.querySelectorAll(".line")].every((chart) => chart.hidden);
    }
    part("count").textContent = `${charts.filter((chart) => !chart.hidden).length} of ${charts.length} lines`;
  };

  /** Goes to a chart, which the filter may hide. */
  const reach = (chart) => {
    if (chart.hidden) {
      part("search").value = "";
      part("changed").checked = false;
      filter();
    }
    for (const other of charts) other.classList.toggle("reached", other === chart);
    chart.focus({ preventScroll: true });
    chart.scrollIntoView();
  };

  part("filters").addEventListener("submit", (event) => event.preventDefault());
  part("filters").addEventListener("input", filter);
  // The address is not changed: it may have the state of the leaderboard.
  document.querySelector(".history").addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#line-']");
    if (!link) return;
    event.preventDefault();
    reach(document.getElementById(link.hash.slice(1)));
  });
  filter();
  const linked = charts.find((chart) => `#${chart.id}` === location.hash);
  if (linked) reach(linked);
}
