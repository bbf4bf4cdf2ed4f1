// Moving through the charts: buttons, gestures, keys, and older candles before one gets to them.

import { moment } from "/charts/axes.js";
import { Gestures } from "/charts/gestures.js";
import { at, fixed } from "./elements.js";

/** `redraw()` draws soon; `needs()` is called when the candles before those shown may be wanted next. */
export function navigate(chart, redraw, needs) {
  const show = (from, to) => {
    chart.show(from, to);
    at("newest").setAttribute("aria-pressed", String(chart.follows));
    if (chart.from < (chart.to - chart.from) / 2) needs();
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
    const newestSeen = Math.min(chart.count, Math.ceil(chart.to)) - 1;
    const next = chart.cursor === null ? newestSeen : chart.cursor + steps;
    chart.cursor = Math.max(0, Math.min(chart.count - 1, next));
    if (chart.cursor < chart.from) show(chart.cursor - 5, chart.cursor - 5 + chart.to - chart.from);
    else if (chart.cursor >= chart.to - 1) show(chart.from + 1, chart.to + 1);
    at("spoken").textContent = spoken(chart);
    redraw();
  };
  const gestures = new Gestures(at("plots"), () => chart.inner, {
    cursor(part) {
      if (!chart.count) return;
      chart.cursor = part === null ? null : Math.max(0, Math.min(chart.count - 1, Math.floor(stepOf(part))));
      chart.drawCursor();
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

function spoken(chart) {
  const candle = chart.series.candles[chart.cursor];
  const signals = chart.series.signalsAt(candle.time).map(({ direction, rule }) => `${direction} signal of ${rule}`);
  const prices = ["open", "high", "low", "close"].map((name) => `${name} ${fixed(candle[name], chart.decimals)}`);
  return [moment(candle.time / 1000), ...prices, ...signals].join(", ");
}
