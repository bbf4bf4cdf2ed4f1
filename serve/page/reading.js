// What stands at a candle: the line above the charts, their keys, the note at a signal, and words for screen readers.

import { moment, number } from "/charts/axes.js";
import { COLOURS } from "./drawings.js";
import { at, fill, fixed, made, signed } from "./elements.js";
import { titled } from "./panes.js";

const NEWEST = 12;

/** Write what stands at a candle of the chart. */
export function tell(chart, candle, step) {
  const before = chart.series.candles[step - 1];
  const change = before ? candle.close / before.close - 1 : candle.close / candle.open - 1;
  const price = (value) => fixed(value, chart.decimals);
  const parts = [
    ["", moment(candle.time / 1000)],
    ["open", price(candle.open)],
    ["high", price(candle.high)],
    ["low", price(candle.low)],
    ["close", price(candle.close)],
    ["", signed(change)],
    ["volume", number(Number(candle.volume.toPrecision(6)))],
  ];
  if (candle.closed === false) parts.push(["", "open"]);
  if (candle.complete === false) parts.push(["", "incomplete: trades are missing"]);
  const spans = parts.map(([name, text]) => made("span", "", name ? `${name} ` : "", made("b", "", text)));
  spans[5].classList.add(change >= 0 ? "up" : "down");
  fill(at("reading"), ...spans);
  fill(at("price-legend"), made("b", "", "Price"), ...overlays(chart, step), ...marks(chart));
  for (const [name, { legend, outputs }] of chart.panes) {
    const shown = name === "volume" ? [made("span", "unit", number(Number(candle.volume.toPrecision(6))))] : [];
    fill(legend, made("b", "", titled(name)), ...shown, ...keys(chart, outputs, step, name));
  }
  note(chart, candle, step);
}

/** The note at the signals of the candle that is read. */
function note(chart, candle, step) {
  const signals = chart.cursor === null ? [] : chart.series.signalsAt(candle.time);
  const mark = chart.marks.find((each) => each.step === step);
  at("note").hidden = !signals.length || !mark;
  if (at("note").hidden) return;
  const lines = signals.map(({ rule, direction, strength, values }) => {
    const of = Object.entries(values ?? {})
      .filter(([, value]) => typeof value === "number")
      .map(([name, value]) => `${name} ${number(Number(value.toPrecision(6)))}`);
    const head = made("b", { long: "up", short: "down" }[direction] ?? "", direction);
    return made("span", "", head, ` ${rule}, strength ${strength.toFixed(2)}`, ...of.flatMap((text) => [made("br"), text]));
  });
  fill(at("note"), ...lines, made("span", "unit", "press, or Enter: all of it"));
  // Beside the mark, on the side where there is room.
  const ground = at("plots").getBoundingClientRect(),
    drawing = at("price").getBoundingClientRect();
  const left = drawing.left - ground.left + mark.left,
    isRight = mark.left < chart.inner / 2;
  const top = drawing.top - ground.top + Math.max(0, Math.min(mark.top - 20, drawing.height - 90));
  const { style } = at("note");
  style.setProperty("left", isRight ? `${left + 14}px` : "auto");
  style.setProperty("right", isRight ? "auto" : `${ground.width - left + 14}px`);
  style.setProperty("top", `${top}px`);
}

/** Value at a candle; the newest ones have none yet and show that of the last candle before them. */
function valueAt(chart, name, step) {
  const values = chart.series.indicators.get(name);
  const { candles } = chart.series;
  let at = step;
  while (at > 0 && at > candles.length - NEWEST && !values?.has(candles[at].time)) at--;
  return values?.get(candles[at].time) ?? undefined;
}

/** Keys of the indicators over the prices; the outputs of one have one colour. */
function overlays(chart, step) {
  return chart.over.map(({ name, outputs }, index) => {
    const values = outputs.map((each) => valueAt(chart, each, step));
    const texts = values.map((value) => (value === undefined ? "–" : fixed(value, chart.decimals)));
    return made("span", `key series-${index % COLOURS}`, `${titled(name)} `, made("b", "", texts.join(" / ")));
  });
}

/** Keys of the lines of a pane with their values at a candle. */
function keys(chart, names, step, pane) {
  return names.map((name, index) => {
    const value = valueAt(chart, name, step);
    const text = value === undefined ? "–" : number(Number(value.toPrecision(5)));
    const title = name === pane ? "" : `${name.slice(pane.length + 1)} `;
    return made("span", `key series-${index % COLOURS}`, title, made("b", "", text));
  });
}

function marks(chart) {
  const found = new Set(
    [...chart.series.signals.values()].flatMap((rules) => [...rules.values()].map((each) => each.direction)),
  );
  return ["long", "short", "neutral"]
    .filter((each) => found.has(each))
    .map((each) => made("span", `key mark-of ${each}`, `${each} signal`));
}

/** A candle in words, for screen readers. */
export function spoken(chart) {
  const candle = chart.series.candles[chart.cursor];
  const signals = chart.series.signalsAt(candle.time).map(({ direction, rule }) => `${direction} signal of ${rule}`);
  const prices = ["open", "high", "low", "close"].map((name) => `${name} ${fixed(candle[name], chart.decimals)}`);
  return [moment(candle.time / 1000), ...prices, ...signals].join(", ");
}
