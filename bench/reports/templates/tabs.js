/* Tabs of results, claims and history, of which one is shown; the arrow keys move between them. */

const tabs = [...document.querySelectorAll("[role=tab]")];
const nameOfTab = (tab) => tab.id.replace("tab-", "");

/** Shows a part of the page: that of the address, or the results. */
function showTab() {
  const chosenTab = tabs.find((tab) => nameOfTab(tab) === readState().tab) ?? tabs[0];
  for (const tab of tabs) {
    const selected = tab === chosenTab;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !selected;
  }
}

function chooseTab(tab) {
  writeState({ tab: tab === tabs[0] ? null : nameOfTab(tab) });
  showTab();
  tab.focus();
  redraw(); // charts have no size while they are hidden
}

for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => chooseTab(tab));
  tab.addEventListener("keydown", (event) => {
    const next = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    chooseTab(tabs[(next + tabs.length) % tabs.length]);
  });
}
onStateChange(() => {
  showTab();
  redraw();
});
if (tabs.length) showTab();
