/* State of the page in its address, so that a link, a reload and the browser's "back" show the same view. */

/*
 * Names of the state: task, backbone, shots, status, search and front are filters; sort is a column, with "-" before it
 * where it descends; row is the open row and against the row that it is compared with; tab is the part of the page, at
 * and beside are shots and cost of the matrix, chart is the cost of the charts, highlight has pinned methods. A name that
 * is missing has its default. Values are texts, those of LISTS lists of texts.
 */
const LISTS = new Set(["highlight"]);
const stateListeners = [];
let state = addressed();

/** The state that the address has. */
function addressed() {
  const found = {};
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (LISTS.has(name)) (found[name] ??= []).push(value);
    else found[name] = value;
  }
  return found;
}

/** The present state, by name. */
function readState() {
  return { ...state };
}

/**
 * Changes some names of the state; null, "" and an empty list remove a name.
 * replace: whether the browser's "back" skips the state before, as while a text is typed.
 */
function writeState(part, { replace = false } = {}) {
  const next = Object.entries({ ...state, ...part }).filter(([, value]) => value !== null && value.length);
  const address = new URLSearchParams(next.flatMap(([name, value]) => [value].flat().map((text) => [name, text]))).toString();
  state = Object.fromEntries(next);
  if (address === location.hash.slice(1)) return;
  try {
    history[replace ? "replaceState" : "pushState"](null, "", `#${address}`);
  } catch (error) {
    // A page in a frame of another page has no address of its own: its state lasts while it is open.
    if (error.name !== "SecurityError") throw error;
  }
}

/** Calls a function with the state after the browser's "back" or "forward", or another address of the same page. */
function onStateChange(listener) {
  stateListeners.push(listener);
}

addEventListener("popstate", () => {
  state = addressed();
  for (const listener of stateListeners) listener(readState());
});
