// The charts over time: candles with what lies over them, volume, and panes of indicators. A candle is a step on the
// axis: times without candles take no room.

import { number, percent, moment, timeTicks } from "/charts/axes.js";
import { line, padded, Plot, TOP } from "/charts/plot.js";
import { at, decimalsOf, fill, fixed, made } from "./elements.js";
import { arranged, titled } from "./panes.js";

const COLOURS = 6;
const STEP = 7;
const ROOM_RIGHT = 3,
  FEWEST = 40;

const volumePlot = { name: "volume", outputs: [], of_hundred: false };

export class Chart {
  constructor(series) {
    this.price = new Plot(at("price"));
    this.panes = new Map();
    this.made = () => {};
    this.reset(series);
  }

  /** Show another series from its newest candle on. */
  reset(series) {
    this.series = series;
    this.cursor = null;
    this.from = 0;
    this.to = 0;
    this.follows = true;
    this.zoomed = false;
  }

  get inner() {
    return this.price.inner ?? 800;
  }

  get count() {
    return this.series.candles.length;
  }

  x(step) {
    return ((step - this.from) / (this.to - this.from)) * this.inner;
  }

  draw() {
    if (!this.count) {
      this.price.begin();
      fill(at("reading"), "No candles yet.");
      for (const { plot } of this.panes.values()) plot.begin();
      return;
    }
    const { over, panes } = arranged(this.series);
    this.over = over;
    this.layOut([volumePlot, ...panes]);
    const first = Math.max(0, Math.floor(this.from)),
      end = Math.min(this.count, Math.ceil(this.to));
    const seen = this.series.candles.slice(first, end);
    const shown = seen.map((candle, index) => ({ ...candle, step: first + index }));
    this.decimals = decimalsOf(seen.flatMap(({ open, close }) => [open, close]));
    this.price.begin();
    const times = shown.map((candle) => candle.time / 1000);
    this.ticks =
      times.length > 1
        ? timeTicks(times, Math.max(3, this.inner / 62)).map(([index, text]) => [first + index, text])
        : [];
    this.drawPrice(shown);
    for (const [name, pane] of this.panes) {
      pane.plot.begin(4);
      if (name === "volume") this.drawVolume(pane.plot, shown);
      else this.drawPane(pane, shown);
    }
    this.drawCursor();
  }

  /** A figure for each pane, kept for as long as it is wanted. */
  layOut(wanted) {
    const names = new Set(wanted.map((each) => each.name));
    for (const [name, { figure }] of this.panes) {
      if (names.has(name)) continue;
      figure.remove();
      this.panes.delete(name);
    }
    for (const pane of wanted) {
      if (!this.panes.has(pane.name)) {
        const figure = made("figure"),
          legend = made("figcaption"),
          root = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        root.id = `pane-${pane.name.replaceAll(/\W/g, "-")}`;
        root.setAttribute("class", "low");
        root.setAttribute("aria-hidden", "true");
        figure.append(legend, root);
        at("panes").append(figure);
        this.panes.set(pane.name, { figure, legend, plot: new Plot(root) });
        this.made(root);
      }
      Object.assign(this.panes.get(pane.name), pane);
    }
  }

  middle(step) {
    return this.x(step + 0.5);
  }

  half() {
    return Math.max(0.6, Math.min(9, (this.inner / (this.to - this.from)) * 0.36));
  }

  values(name, shown) {
    const values = this.series.indicators.get(name);
    return shown
      .map(({ time, step }) => [step, values?.get(time)])
      .filter(([, value]) => value !== undefined && value !== null);
  }

  drawPrice(shown) {
    const { price: plot } = this;
    const groups = this.over.map(({ outputs }) => outputs.map((name) => this.values(name, shown)));
    const all = shown.flatMap(({ low, high }) => [low, high]);
    for (const points of groups.flat()) all.push(...points.map(([, value]) => value));
    const y = plot.values(...padded(Math.min(...all), Math.max(...all), 0.1), plot.height / 55);
    plot.times(this.ticks, (step) => this.x(step + 0.5));
    const group = plot.clipped(),
      half = this.half();
    groups.forEach((lines, index) => {
      for (const points of lines) this.drawLine(plot, group, points, y, index);
    });
    plot.candles(
      group,
      shown.map((candle) => ({ ...candle, at: this.middle(candle.step), half })),
      y,
    );
    for (const candle of shown) this.drawSignals(plot, group, candle, y);
    this.drawLast(plot, y);
  }

  drawLine(plot, group, points, y, index) {
    const parts = [];
    for (const [step, value] of points) {
      if (parts.at(-1)?.at(-1)[0] !== step - 1) parts.push([]);
      parts.at(-1).push([step, value]);
    }
    const path = parts
      .map((part) => part.map(([step, value]) => [this.middle(step), y(value)]))
      // One value alone is a dash: a line needs two points.
      .map((points) => (points.length > 1 ? points : [-2, 2].map((by) => [points[0][0] + by, points[0][1]])))
      .map(line)
      .join("");
    group.append(plot.add("path", { class: `curve series-${index % COLOURS}`, d: path }));
  }

  drawSignals(plot, group, candle, y) {
    let below = y(candle.low) + 6,
      above = y(candle.high) - 6;
    for (const { direction } of this.series.signalsAt(candle.time)) {
      const left = this.middle(candle.step);
      const long = direction === "long",
        top = long ? below : above;
      const shape = { long: "l6 10h-12Z", short: "l6 -10h-12Z", neutral: "l5 -5l-5 -5l-5 5Z" }[direction];
      group.append(plot.add("path", { class: `mark ${direction}`, d: `M${left} ${top}${shape}` }));
      if (long) below += 12;
      else above -= 12;
    }
  }

  /** The newest price across the chart, and on the axis. */
  drawLast(plot, y) {
    const { close } = this.series.last,
      top = y(close);
    // Who looks at the past may see other prices than today's.
    if (top < TOP || top > plot.bottom) return;
    plot.add("line", { class: "last", x1: 0, x2: plot.inner, y1: top, y2: top });
    plot.add("rect", {
      class: "tag",
      x: plot.inner + 1,
      y: top - 9,
      width: plot.width - plot.inner - 1,
      height: 18,
      rx: 3,
    });
    plot.add("text", { class: "tag-text", x: plot.inner + 5, y: top + 4 }, fixed(close, this.decimals));
  }

  drawVolume(plot, shown) {
    const most = Math.max(...shown.map(({ volume }) => volume), 0) || 1;
    const y = plot.values(0, most * 1.05, 2);
    plot.times(this.ticks, (step) => this.x(step + 0.5));
    const group = plot.clipped(),
      half = this.half();
    for (const way of ["rise", "fall"]) {
      const bars = shown
        .filter(({ open, close }) => close >= open === (way === "rise"))
        .map(
          ({ step, volume }) =>
            `M${(this.middle(step) - half).toFixed(1)} ${plot.bottom}V${y(volume).toFixed(1)}h${(2 * half).toFixed(1)}V${plot.bottom}Z`,
        );
      group.append(plot.add("path", { class: `bar-of ${way}`, d: bars.join("") }));
    }
  }

  drawPane({ plot, outputs, of_hundred }, shown) {
    const lines = outputs.map((name) => this.values(name, shown));
    const all = lines.flatMap((points) => points.map(([, value]) => value));
    const bars = outputs.findIndex((name) => name.endsWith(".histogram"));
    if (bars >= 0) all.push(0);
    if (!all.length) return;
    const [low, high] = of_hundred ? [0, 100] : padded(Math.min(...all), Math.max(...all));
    const y = plot.values(low, high, of_hundred ? 4 : 3);
    plot.times(this.ticks, (step) => this.x(step + 0.5));
    const group = plot.clipped(),
      half = this.half();
    if (bars >= 0) {
      const strokes = lines[bars].map(
        ([step, value]) =>
          `M${(this.middle(step) - half).toFixed(1)} ${y(0).toFixed(1)}V${y(value).toFixed(1)}h${(2 * half).toFixed(1)}V${y(0).toFixed(1)}Z`,
      );
      group.append(plot.add("path", { class: `bars series-${bars % COLOURS}`, d: strokes.join("") }));
    }
    lines.forEach((points, index) => {
      if (index !== bars) this.drawLine(plot, group, points, y, index);
    });
  }

  /** The line at the candle that is read, and what stands there. */
  drawCursor() {
    for (const old of document.querySelectorAll(".cross")) old.remove();
    const step = Math.min(this.cursor ?? this.count - 1, this.count - 1);
    if (this.cursor !== null) {
      const left = this.middle(step);
      for (const plot of [this.price, ...[...this.panes.values()].map((pane) => pane.plot)])
        plot.add("line", { class: "cross", x1: left, x2: left, y1: TOP, y2: plot.bottom });
    }
    this.tell(this.series.candles[step], step);
  }

  tell(candle, step) {
    const before = this.series.candles[step - 1];
    const change = before ? candle.close / before.close - 1 : candle.close / candle.open - 1;
    const parts = [
      ["", moment(candle.time / 1000)],
      ...["open", "high", "low", "close"].map((name) => [name, fixed(candle[name], this.decimals)]),
      ["", percent(change).replace(/^(?!-)/, "+")],
      ["volume", number(Number(candle.volume.toPrecision(6)))],
    ];
    if (candle.closed === false) parts.push(["", "open"]);
    if (candle.complete === false) parts.push(["", "incomplete: trades are missing"]);
    for (const { rule, direction, strength } of this.series.signalsAt(candle.time))
      parts.push(["signal", `${direction}, ${rule}, strength ${strength.toFixed(2)}`]);
    const spans = parts.map(([name, text]) => made("span", "", name ? `${name} ` : "", made("b", "", text)));
    spans[5].classList.add(change >= 0 ? "up" : "down");
    fill(at("reading"), ...spans);
    fill(at("price-legend"), made("b", "", "Price"), ...this.overlays(step), ...this.marks());
    for (const [name, { legend, outputs }] of this.panes) {
      const shown = name === "volume" ? [made("span", "unit", number(Number(candle.volume.toPrecision(6))))] : [];
      fill(legend, made("b", "", titled(name)), ...shown, ...this.legend(outputs, step, name));
    }
  }

  /** Value at a candle; the open one has none yet and shows that of the candle before. */
  valueAt(name, step) {
    const values = this.series.indicators.get(name);
    const { candles } = this.series;
    const own = values?.get(candles[step].time);
    const before = candles[step].closed === false && step ? values?.get(candles[step - 1].time) : undefined;
    return own ?? before ?? undefined;
  }

  /** Keys of the indicators over the prices; the outputs of one have one colour. */
  overlays(step) {
    return this.over.map(({ name, outputs }, index) => {
      const values = outputs.map((each) => this.valueAt(each, step));
      const texts = values.map((value) => (value === undefined ? "–" : fixed(value, this.decimals)));
      return made("span", `key series-${index % COLOURS}`, `${titled(name)} `, made("b", "", texts.join(" / ")));
    });
  }

  /** Keys of the lines of a pane with their values at a candle. */
  legend(names, step, pane) {
    return names.map((name, index) => {
      const value = this.valueAt(name, step);
      const text = value === undefined ? "–" : number(Number(value.toPrecision(5)));
      const title = name === pane ? "" : `${name.slice(pane.length + 1)} `;
      return made("span", `key series-${index % COLOURS}`, title, made("b", "", text));
    });
  }

  marks() {
    const found = new Set(
      [...this.series.signals.values()].flatMap((rules) => [...rules.values()].map((each) => each.direction)),
    );
    return ["long", "short", "neutral"]
      .filter((each) => found.has(each))
      .map((each) => made("span", `key mark-of ${each}`, `${each} signal`));
  }

  /** Show these steps, or as many of them as there are, and as fit. */
  show(from, to) {
    const length = Math.max(10, Math.min(to - from, this.inner / 2.4));
    const last = this.count + ROOM_RIGHT;
    const end = Math.min(last, Math.max(to, Math.min(length, last)));
    this.from = end - length;
    this.to = end;
    this.follows = end >= this.count;
  }

  /** The newest candles, as many as were shown. */
  newest() {
    const fits = Math.min(Math.floor(this.inner / STEP), Math.max(FEWEST, this.count + ROOM_RIGHT));
    const length = this.zoomed ? this.to - this.from : fits;
    this.show(this.count + ROOM_RIGHT - length, this.count + ROOM_RIGHT);
    this.follows = true;
  }

  /** So many candles came before those that were here (or went, if negative). */
  shift(steps) {
    this.from += steps;
    this.to += steps;
    if (this.cursor !== null) this.cursor = Math.max(0, this.cursor + steps);
  }
}
