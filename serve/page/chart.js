// The charts over time: candles with what lies over them, volume, and panes of indicators. A candle is a step on the
// axis: times without candles take no room.

import { moment, timeTicks } from "/charts/axes.js";
import { Plot, TOP } from "/charts/plot.js";
import { drawPane, drawPrice, drawVolume } from "./drawings.js";
import { at, decimalsBy, fill, fixed, made } from "./elements.js";
import { arranged } from "./panes.js";
import { preferences } from "./preferences.js";
import { tell } from "./reading.js";
import { indexAt } from "./series.js";

const STEP = 7;
const ROOM_RIGHT = 3,
  FEWEST = 40;

const volumePlot = { name: "volume", outputs: [], of_hundred: false };

/**
 * Attributes that others set: `made(svg)` is called for each drawing that is new; `offer(names)` with the indicators
 * and panes that there are; `market()` is the instrument that is shown; `loading` and `readsOlder` say what is waited for.
 */
export class Chart {
  constructor(series) {
    this.price = new Plot(at("price"));
    this.panes = new Map();
    this.made = this.offer = () => {};
    this.market = () => null;
    this.loading = true;
    this.reset(series);
  }

  /** Show another series from its newest candle on. */
  reset(series) {
    this.series = series;
    this.cursor = this.pointer = null;
    this.from = 0;
    this.to = 0;
    this.follows = true;
    this.zoomed = this.readsOlder = false;
    this.marks = [];
  }

  get inner() {
    return this.price.inner ?? 800;
  }

  get count() {
    return this.series.candles.length;
  }

  /** Whether the candles before those that are here may be wanted next. */
  get nearsTheOldest() {
    return this.from < this.to - this.from;
  }

  x(step) {
    return ((step - this.from) / (this.to - this.from)) * this.inner;
  }

  middle(step) {
    return this.x(step + 0.5);
  }

  half() {
    return Math.max(0.6, Math.min(9, (this.inner / (this.to - this.from)) * 0.36));
  }

  draw() {
    this.marks = [];
    if (!this.count) {
      this.price.begin();
      fill(at("reading"), this.loading ? "Loading …" : "No candles of this market and interval yet.");
      fill(at("price-legend"));
      for (const { plot, legend } of this.panes.values()) {
        plot.begin();
        fill(legend);
      }
      return;
    }
    const { over, panes } = arranged(this.series);
    this.offer(["volume", ...over.map((each) => each.name), ...panes.map((each) => each.name)]);
    const isShown = ({ name }) => !preferences.hidden.includes(name);
    this.over = over.filter(isShown);
    this.layOut([volumePlot, ...panes].filter(isShown));
    const first = Math.max(0, Math.floor(this.from)),
      end = Math.min(this.count, Math.ceil(this.to));
    const seen = this.series.candles.slice(first, end);
    const shown = seen.map((candle, index) => ({ ...candle, step: first + index }));
    this.decimals = decimalsBy(this.market()?.tick_size, seen.flatMap(({ open, close }) => [open, close]));
    this.price.begin();
    const times = shown.map((candle) => candle.time / 1000);
    this.ticks =
      times.length > 1
        ? timeTicks(times, Math.max(3, this.inner / 62)).map(([index, text]) => [first + index, text])
        : [];
    drawPrice(this, shown);
    for (const [name, pane] of this.panes) {
      pane.plot.begin(4);
      if (name === "volume") drawVolume(this, pane.plot, shown);
      else drawPane(this, pane, shown);
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
        this.panes.set(pane.name, { figure, legend, plot: new Plot(root) });
        this.made(root);
      }
      Object.assign(this.panes.get(pane.name), pane);
    }
    const figures = wanted.map(({ name }) => this.panes.get(name).figure);
    if (figures.some((each, index) => at("panes").children[index] !== each)) at("panes").replaceChildren(...figures);
    this.panes = new Map(wanted.map(({ name }) => [name, this.panes.get(name)]));
  }

  /** Values [step, value] of an indicator at the candles that are shown. */
  values(name, shown) {
    const values = this.series.indicators.get(name);
    return shown
      .map(({ time, step }) => [step, values?.get(time)])
      .filter(([, value]) => value !== undefined && value !== null);
  }

  /** The lines at the candle that is read and at the pointer, and what stands there. */
  drawCursor() {
    for (const old of document.querySelectorAll(".cross, .cross-text")) old.remove();
    if (!this.count) return;
    const step = Math.min(this.cursor ?? this.count - 1, this.count - 1);
    const candle = this.series.candles[step];
    const plots = [this.price, ...[...this.panes.values()].map((pane) => pane.plot)];
    if (this.cursor !== null) {
      const left = this.middle(step);
      for (const plot of plots) plot.add("line", { class: "cross", x1: left, x2: left, y1: TOP, y2: plot.bottom });
      this.drawTime(left, candle.time / 1000);
      const aimed = plots.find(({ root }) => root === this.pointer?.root);
      if (aimed) this.drawHeight(aimed, this.pointer.top);
    }
    tell(this, candle, step);
  }

  drawTime(left, ms) {
    const text = moment(ms),
      half = text.length * 3.1 + 5;
    const middle = Math.max(half, Math.min(this.inner - half, left));
    const y = this.price.height - 17;
    this.price.add("rect", { class: "cross-tag cross", x: middle - half, y, width: 2 * half, height: 16, rx: 3 });
    this.price.add("text", { class: "cross-tag-text cross-text", x: middle, y: y + 12, "text-anchor": "middle" }, text);
  }

  /** The value at the pointer's height, as far as there is an axis. */
  drawHeight(plot, top) {
    if (!plot.valueAt || top < TOP || top > plot.bottom) return;
    const value = plot.valueAt(top);
    const text =
      plot === this.price ? fixed(value, this.decimals) : fixed(value, Math.abs(value) >= 100 ? 0 : 3);
    plot.add("line", { class: "cross", x1: 0, x2: plot.inner, y1: top, y2: top });
    const x = plot.inner + 1;
    plot.add("rect", { class: "cross-tag cross", x, y: top - 8, width: plot.width - x, height: 16, rx: 3 });
    plot.add("text", { class: "cross-tag-text cross-text", x: x + 4, y: top + 4 }, text);
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

  /** The first candle that is seen and its step, to `keep` it where it is when others come before it. */
  place() {
    const step = Math.max(0, Math.min(this.count - 1, Math.floor(this.from)));
    return this.count ? [this.series.candles[step].time, step] : null;
  }

  keep(place) {
    if (place) this.shift(indexAt(this.series.candles, place[0]) - place[1]);
  }

  /** So many candles came before those that were here (or went, if negative). */
  shift(steps) {
    this.from += steps;
    this.to += steps;
    if (this.cursor !== null) this.cursor = Math.max(0, this.cursor + steps);
  }
}
