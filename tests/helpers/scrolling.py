"""How a page of many results loads, scrolls, filters and sorts, measured in the browser."""

from dataclasses import dataclass

import numpy as np

STEP = 600
"""Pixels from one frame to the next: at 60 frames a second the whole height of a screen in some 25 ms, a fast fling."""
LONG = 50.0
"""Milliseconds from which on a frame, or a task, is called long."""

WATCH = """
self.seen = {};
self.longTasks = [];
new PerformanceObserver((list) => longTasks.push(...list.getEntries().map(({ duration }) => duration)))
  .observe({ type: "longtask", buffered: true });
new MutationObserver(() => {
  for (const name of ["table", "charts"]) {
    if (document.documentElement.dataset[name] === "ready") seen[name] ??= performance.now();
  }
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-table", "data-charts"] });
"""
"""Script that runs before those of the page: when its parts are there, and which tasks are long."""

_SCROLL = """
async (step) => {
  const frame = document.getElementById("table");
  const next = () => new Promise(requestAnimationFrame);
  frame.scrollIntoView();
  const { left, top, width, height } = frame.getBoundingClientRect();
  const found = { frames: [], lines: 0, blank: 0, longTasks: [] };
  frame.scrollTop = 0;
  for (let wait = 0; wait < 10; wait += 1) await next();
  longTasks.length = 0;
  let last = await next();
  while (frame.scrollTop + frame.clientHeight < frame.scrollHeight - 1) {
    frame.scrollTop += step;
    const now = await next();
    found.frames.push(now - last);
    last = now;
    // What was painted in the middle of the table; the lines that are in the document.
    if (document.elementFromPoint(left + width / 2, top + height / 2)?.closest(".space")) found.blank += 1;
    found.lines = Math.max(found.lines, frame.querySelectorAll("tr[data-row]").length);
  }
  await next();
  found.longTasks = [...longTasks];
  return found;
}
"""

_ACT = """
async ({ selector, text }) => {
  const next = () => new Promise(requestAnimationFrame);
  const target = document.querySelector(selector);
  target.scrollIntoView();
  for (let wait = 0; wait < 10; wait += 1) await next();
  const began = performance.now();
  if (text === null) target.click();
  else {
    target.value = text;
    target.dispatchEvent(new Event("input", { bubbles: true }));
  }
  await next();
  await next();
  return performance.now() - began;
}
"""


@dataclass(frozen=True)
class Scrolled:
    """The whole table of a page, scrolled through.

    Attributes:
        frames: Milliseconds from each frame to the next.
        lines: Most lines of the table that were in the document at once.
        blank: Frames that had no line of the table in the middle of it.
        long_tasks: Milliseconds of each long task meanwhile.
    """

    frames: tuple[float, ...]
    lines: int
    blank: int
    long_tasks: tuple[float, ...]

    def quantile(self, share):
        """Milliseconds within which this share of the frames comes."""
        return float(np.quantile(self.frames, share))


def scroll(page, step=STEP):
    """Scroll through the table of an open page, a step from each frame to the next."""
    found = page.evaluate(_SCROLL, step)
    return Scrolled(tuple(found["frames"]), found["lines"], found["blank"], tuple(found["longTasks"]))


def acted(page, selector, text=None):
    """Milliseconds from a click, or from an input of a text, until the page shows what follows."""
    return page.evaluate(_ACT, {"selector": selector, "text": text})


class Work:
    """CPU time of the page's thread, which what else runs on the machine changes little."""

    def __init__(self, page):
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def seconds(self):
        """Seconds so far."""
        found = self._session.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in found if one["name"] == "TaskDuration")
