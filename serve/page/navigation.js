// Moving through the charts: buttons, gestures, keys, and older candles before one gets to them.

import { Gestures } from "/charts/gestures.js";
import { at } from "./elements.js";
import { spoken } from "./reading.js";

const NEAR_PX = 18;

/**
 * `redraw()` draws soon; `needs()` is called when the candles before those shown may be wanted next, and
 * `opens(signals)` when somebody wants to know all of those of a candle.
 */
export function navigate(chart, redraw, needs, opens) {
  const show = (from, to) => {
    chart.show(from, to);
    at("newest").setAttribute("aria-pressed", String(chart.follows));
    if (chart.nearsTheOldest) needs();
    redraw();
  };
  const move = (share) => {
    const by = share * (chart.to - chart.from);
    show(chart.from + by, chart.to + by);
  };
  const stepOf = (part) => chart.from + part * (chart.to - chart.from);
  const zoom = (factor, part) => {
    // Who follows the newest candle keeps it in sight.
    const place = chart.follows ? chart.to : stepOf(part ?? 0.5);
    chart.zoomed = true;
    show(place - (place - chart.from) * factor, place + (chart.to - place) * factor);
  };
  const newest = () => {
    chart.cursor = null;
    chart.newest();
    show(chart.from, chart.to);
  };
  /** Move the cursor by candles, and say where it is. */
  const read = (steps) => {
    if (!chart.count) return;
    chart.pointer = null;
    const newestSeen = Math.min(chart.count, Math.ceil(chart.to)) - 1;
    const next = chart.cursor === null ? newestSeen : chart.cursor + steps;
    chart.cursor = Math.max(0, Math.min(chart.count - 1, next));
    if (chart.cursor < chart.from) show(chart.cursor - 5, chart.cursor - 5 + chart.to - chart.from);
    else if (chart.cursor >= chart.to - 1) show(chart.from + 1, chart.to + 1);
    at("spoken").textContent = spoken(chart);
    redraw();
  };
  const openAt = (step) => {
    const candle = chart.series.candles[step];
    const signals = candle ? chart.series.signalsAt(candle.time) : [];
    if (signals.length) opens(signals);
  };
  const gestures = new Gestures(at("plots"), () => chart.inner, {
    cursor(part, root, top) {
      if (!chart.count) return;
      chart.pointer = part === null ? null : { root, top };
      chart.cursor = part === null ? null : Math.max(0, Math.min(chart.count - 1, Math.floor(stepOf(part))));
      chart.drawCursor();
    },
    open(root, left, top) {
      if (!root) return openAt(chart.cursor);
      const near = chart.marks.find((each) => Math.hypot(each.left - left, each.top - top) < NEAR_PX);
      if (near && root === chart.price.root) openAt(near.step);
    },
    slide: move,
    zoom,
    read,
    all() {
      chart.zoomed = false;
      newest();
    },
    first: () => show(0, chart.to - chart.from),
    last: newest,
  });
  gestures.on(chart.price.root);
  chart.made = (root) => gestures.on(root);
  for (const [id, act] of [
    ["earlier", () => move(-0.5)],
    ["later", () => move(0.5)],
    ["closer", () => zoom(0.5)],
    ["wider", () => zoom(2)],
    ["newest", newest],
  ])
    at(id).addEventListener("click", act);
  new ResizeObserver(redraw).observe(at("plots"));
}
