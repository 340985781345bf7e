/* The opening: its number of shots, the cost beside the scores, and ways from its cells to the table below. */

const opening = byId("opening");
const openingShots = byId("opening-shots");
const openingCost = byId("opening-cost");

/** Shows the parts of one number of shots. */
function showPart(shots) {
  for (const part of opening.querySelectorAll(".part")) part.hidden = part.dataset.shots !== shots;
}

/** Writes a cost beside the scores, once the rows are unpacked. */
function showCost(field) {
  if (!axes.length) return;
  const { description } = axes.find((axis) => axis.field === field);
  for (const cell of opening.querySelectorAll("td[data-row]")) {
    const row = rows[cell.dataset.row];
    const small = cell.querySelector("small");
    if (small) small.textContent = number(row[field]) + sign(row, field);
  }
  for (const name of opening.querySelectorAll(".cost")) name.textContent = description;
}

/** Shows what the address has: the number of shots (at) and the cost (beside). */
function showOpening() {
  const { at, beside } = readState();
  if (openingShots) showPart(choose("opening-shots", at));
  if (openingCost) showCost(choose("opening-cost", beside));
}

/** Shows a task in the charts and in the table, at the number of shots of the matrix. */
function showTask({ task, backbone }) {
  byId("setting").value = String(settings.indexOf(`${task}\n${backbone}`));
  byId("status").value = byId("search").value = "";
  byId("front").checked = false;
  offer();
  choose("shots", opening.querySelector(".part:not([hidden])").dataset.shots);
  byId("setting").dispatchEvent(new Event("input", { bubbles: true }));
  byId("setting").focus({ preventScroll: true });
  byId("filters").scrollIntoView();
}

byId("opening-form")?.addEventListener("submit", (event) => event.preventDefault());
openingShots?.addEventListener("change", () => writeState({ at: openingShots.value }));
openingCost?.addEventListener("change", () => writeState({ beside: openingCost.value }));
byId("opening-form")?.addEventListener("change", showOpening);
opening.addEventListener("click", ({ target }) => {
  const cell = target.closest("td[data-row]");
  const button = target.closest("button");
  if (cell && getSelection().isCollapsed) showDetail(Number(cell.dataset.row));
  else if (button?.dataset.task) showTask(button.dataset);
  else if (button?.classList.contains("more")) unfold(button);
});

/** Shows all methods of a matrix, or the first of them. */
function unfold(button) {
  const whole = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(whole));
  button.closest(".part").classList.toggle("whole", whole);
}
