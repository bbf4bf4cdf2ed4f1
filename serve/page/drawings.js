// What is drawn into the plots of the chart: candles, lines, signals, volume, panes.

import { line, padded, TOP } from "/charts/plot.js";
import { fixed } from "./elements.js";

export const COLOURS = 6;

/** Candles with what lies over them. */
export function drawPrice(chart, shown) {
  const { price: plot } = chart;
  const groups = chart.over.map(({ outputs }) => outputs.map((name) => chart.values(name, shown)));
  const all = shown.flatMap(({ low, high }) => [low, high]);
  for (const points of groups.flat()) all.push(...points.map(([, value]) => value));
  const y = plot.values(...padded(Math.min(...all), Math.max(...all), 0.1), plot.height / 55);
  plot.times(chart.ticks, (step) => chart.middle(step));
  const group = plot.clipped(),
    half = chart.half();
  groups.forEach((lines, index) => {
    for (const points of lines) drawLine(chart, plot, group, points, y, index);
  });
  plot.candles(
    group,
    shown.map((candle) => ({ ...candle, at: chart.middle(candle.step), half })),
    y,
  );
  for (const candle of shown) drawSignals(chart, plot, group, candle, y);
  drawLast(chart, plot, y);
  drawBeginning(chart, plot);
}

function drawLine(chart, plot, group, points, y, index) {
  const parts = [];
  for (const [step, value] of points) {
    if (parts.at(-1)?.at(-1)[0] !== step - 1) parts.push([]);
    parts.at(-1).push([step, value]);
  }
  const path = parts
    .map((part) => part.map(([step, value]) => [chart.middle(step), y(value)]))
    // One value alone is a dash: a line needs two points.
    .map((points) => (points.length > 1 ? points : [-2, 2].map((by) => [points[0][0] + by, points[0][1]])))
    .map(line)
    .join("");
  group.append(plot.add("path", { class: `curve series-${index % COLOURS}`, d: path }));
}

function drawSignals(chart, plot, group, candle, y) {
  let below = y(candle.low) + 6,
    above = y(candle.high) - 6;
  for (const { direction } of chart.series.signalsAt(candle.time)) {
    const left = chart.middle(candle.step);
    const long = direction === "long",
      top = long ? below : above;
    const shape = { long: "l6 10h-12Z", short: "l6 -10h-12Z", neutral: "l5 -5l-5 -5l-5 5Z" }[direction];
    group.append(plot.add("path", { class: `mark ${direction}`, d: `M${left} ${top}${shape}` }));
    chart.marks.push({ left, top: top + (long ? 5 : -5), step: candle.step });
    if (long) below += 12;
    else above -= 12;
  }
}

/** The newest price across the chart, and on the axis. */
function drawLast(chart, plot, y) {
  const { open, close } = chart.series.last,
    way = close >= open ? "rise" : "fall",
    top = y(close);
  // Who looks at the past may see other prices than today's.
  if (top < TOP || top > plot.bottom) return;
  plot.add("line", { class: `last ${way}`, x1: 0, x2: plot.inner, y1: top, y2: top });
  plot.tag(top, fixed(close, chart.decimals), `${way} tag`);
}

/** Where the stored candles begin, or that older ones are on their way. */
function drawBeginning(chart, plot) {
  const left = chart.x(0),
    place = { class: "label", y: TOP + 12 };
  if (chart.readsOlder) plot.add("text", { ...place, x: 6 }, "reading older candles …");
  else if (chart.series.older === null && left >= 0) {
    plot.add("line", { class: "beginning", x1: left, x2: left, y1: TOP, y2: plot.bottom });
    plot.add("text", { ...place, x: left + 6 }, "nothing older is stored");
  }
}

const bar = (chart, step, foot, top, half) =>
  `M${(chart.middle(step) - half).toFixed(1)} ${foot.toFixed(1)}V${top.toFixed(1)}h${(2 * half).toFixed(1)}V${foot.toFixed(1)}Z`;

export function drawVolume(chart, plot, shown) {
  const most = Math.max(...shown.map(({ volume }) => volume), 0) || 1;
  const y = plot.values(0, most * 1.05, 2);
  plot.times(chart.ticks, (step) => chart.middle(step));
  const group = plot.clipped(),
    half = chart.half();
  for (const way of ["rise", "fall"]) {
    const bars = shown
      .filter(({ open, close }) => close >= open === (way === "rise"))
      .map(({ step, volume }) => bar(chart, step, plot.bottom, y(volume), half));
    group.append(plot.add("path", { class: `bar-of ${way}`, d: bars.join("") }));
  }
}

export function drawPane(chart, { plot, outputs, of_hundred }, shown) {
  const lines = outputs.map((name) => chart.values(name, shown));
  const all = lines.flatMap((points) => points.map(([, value]) => value));
  const bars = outputs.findIndex((name) => name.endsWith(".histogram"));
  if (bars >= 0) all.push(0);
  if (!all.length) return;
  const [low, high] = of_hundred ? [0, 100] : padded(Math.min(...all), Math.max(...all));
  const y = plot.values(low, high, of_hundred ? 4 : 3);
  plot.times(chart.ticks, (step) => chart.middle(step));
  const group = plot.clipped(),
    half = chart.half();
  if (bars >= 0) {
    const strokes = lines[bars].map(([step, value]) => bar(chart, step, y(0), y(value), half));
    group.append(plot.add("path", { class: `bars series-${bars % COLOURS}`, d: strokes.join("") }));
  }
  lines.forEach((points, index) => {
    if (index !== bars) drawLine(chart, plot, group, points, y, index);
  });
}
