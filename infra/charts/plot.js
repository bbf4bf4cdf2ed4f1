// One drawing in SVG: its size, its grid, and the shapes that all charts over time have in common.

import { valueTicks, withStep } from "./axes.js";

const SVG = "http://www.w3.org/2000/svg";
export const RIGHT = 66,
  TOP = 8,
  BOTTOM = 20;

/** One drawing: its size, and elements that are added to it. */
export class Plot {
  constructor(root) {
    this.root = root;
  }

  /** Empty it and take the size of its element; `bottom` is the room below for the times. */
  begin(bottom = BOTTOM) {
    this.width = Math.max(this.root.clientWidth, 200);
    this.height = this.root.clientHeight || 120;
    this.root.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.root.replaceChildren();
    this.inner = this.width - RIGHT;
    this.bottom = this.height - bottom;
  }

  add(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    this.root.append(made);
    return made;
  }

  /** Lines and labels of the values; returns where a value lies. */
  values(low, high, wanted, write = (text) => text) {
    const y = (value) => this.bottom - ((value - low) / (high - low || 1)) * (this.bottom - TOP);
    this.valueAt = (top) => low + ((this.bottom - top) / (this.bottom - TOP)) * (high - low || 1);
    for (const [value, text] of withStep(valueTicks(low, high, wanted))) {
      this.add("line", { class: "grid", x1: 0, x2: this.inner, y1: y(value), y2: y(value) });
      this.add("text", { x: this.inner + 6, y: y(value) + 4 }, write(text));
    }
    return y;
  }

  /** Lines of the times, and their texts where there is room for them below. */
  times(ticks, x) {
    let free = 0;
    for (const [at, text] of ticks) {
      const left = x(at),
        half = text.length * 3.2;
      if (left - half < free || left + half > this.inner + 20) continue;
      this.add("line", { class: "grid", x1: left, x2: left, y1: TOP, y2: this.bottom });
      if (this.height - this.bottom >= BOTTOM)
        this.add("text", { x: left, y: this.height - 5, "text-anchor": "middle" }, text);
      free = left + half + 8;
    }
  }

  /** A text on the axis of the values, at a height; `classes` names its look. */
  tag(top, text, classes) {
    const x = this.inner + 1;
    this.add("rect", { class: classes, x, y: top - 9, width: this.width - x, height: 18, rx: 3 });
    this.add("text", { class: `${classes}-text`, x: x + 4, y: top + 4 }, text);
  }

  /** A group whose contents end where the axis begins. */
  clipped() {
    const id = `clip-${this.root.id}`;
    const region = this.add("clipPath", { id });
    region.append(this.add("rect", { x: 0, y: 0, width: this.inner, height: this.height }));
    return this.add("g", { "clip-path": `url(#${id})` });
  }

  /** Candles {at, half, open, high, low, close}, `at` and `half` their middle and half width in pixels. */
  candles(group, candles, y) {
    const paths = { rise: ["", ""], fall: ["", ""] };
    for (const { at, half, open, high, low, close } of candles) {
      const path = paths[close >= open ? "rise" : "fall"];
      const top = y(Math.max(open, close)),
        foot = y(Math.min(open, close));
      path[0] += `M${at.toFixed(1)} ${y(high).toFixed(1)}V${top.toFixed(1)}M${at.toFixed(1)} ${foot.toFixed(1)}V${y(low).toFixed(1)}`;
      path[1] += `M${(at - half).toFixed(1)} ${top.toFixed(1)}H${(at + half).toFixed(1)}V${Math.max(foot, top + 0.7).toFixed(1)}H${(at - half).toFixed(1)}Z`;
    }
    for (const [way, [wicks, bodies]] of Object.entries(paths)) {
      group.append(
        this.add("path", { class: `wick ${way}`, d: wicks }),
        this.add("path", { class: `body ${way}`, d: bodies }),
      );
    }
  }
}

/** Two values with room below and above them. */
export function padded(low, high, share = 0.06) {
  const room = (high - low) * share || Math.abs(high) * 0.01 || 1;
  return [low - room, high + room];
}

/** The path through some points. */
export const line = (points) =>
  points.length ? `M${points.map(([left, top]) => `${left.toFixed(1)} ${top.toFixed(1)}`).join("L")}` : "";
