// Small pieces of the page: elements, rows and texts.

import { clock, day, percent, span } from "/charts/axes.js";

export const at = (id) => document.getElementById(id);

/** An element with classes, and texts or elements in it. */
export function made(name, classes = "", ...content) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...content);
  return element;
}

/** A row of a table; the first cell is its heading, and a cell of several parts is read as a text. */
export function row(...cells) {
  const [first, ...others] = cells.map((content) => (Array.isArray(content) ? content : [content]));
  const heading = made("th", "text", ...first);
  heading.scope = "row";
  return made("tr", "", heading, ...others.map((content) => made("td", content.length > 1 ? "text" : "", ...content)));
}

const keptOf = new WeakMap();

/**
 * Children by their keys, [[key, make], ...]: those that are there stay as they are, with the focus and the place of
 * whoever scrolls; new ones are made.
 */
export function keyed(parent, wanted) {
  const before = keptOf.get(parent) ?? new Map(),
    now = new Map();
  let place = parent.firstChild;
  for (const [key, make] of wanted) {
    const node = before.get(key) ?? make();
    now.set(key, node);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
  keptOf.set(parent, now);
}

/** Replace what an element holds, if it has changed. */
export function fill(element, ...content) {
  const next = made("div", "", ...content);
  if (element.innerHTML !== next.innerHTML) element.replaceChildren(...next.childNodes);
}

/** A light with its words: the colour says nothing that the words do not. */
export function light(state, text) {
  return [made("span", `light ${state}`), ` ${text}`];
}

const withSeconds = (ms) => (clock(ms).length < 8 ? `${clock(ms)}:00` : clock(ms));

/** µs since the epoch as a time of day with seconds, and the day if it is not today's. */
export function momentOf(time) {
  const ms = time / 1000;
  return day(ms) === day(Date.now()) ? withSeconds(ms) : `${day(ms)} ${withSeconds(ms)}`;
}

/** µs since the epoch to the millisecond. */
export function exactly(time) {
  const ms = Math.floor(time / 1000);
  return `${day(ms)} ${withSeconds(ms)}.${String(ms % 1000).padStart(3, "0")}`;
}

/** Seconds for people: milliseconds below one, a digit below ten, minutes, hours and days of long times. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (Math.abs(value) < 9.95) return `${value.toFixed(1)} s`;
  return Math.abs(value) < 120 ? `${Math.round(value)} s` : `${value < 0 ? "-" : ""}${span(Math.abs(value) * 1000)}`;
}

/** A part as percent, always with its sign. */
export const signed = (part) => percent(Math.abs(part) < 0.00005 ? 0 : part).replace(/^(?!-)/, "+");

/** Records per second for people. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return `${value.toLocaleString("en-US", { maximumFractionDigits: value < 100 ? 1 : 0 })}/s`;
}

/** Decimals that numbers of one kind need, so that they stand below each other. */
export function decimalsOf(values) {
  let most = 0;
  for (const value of values) {
    const [digits, power] = String(value).split("e");
    most = Math.max(most, (digits.split(".")[1]?.length ?? 0) - Number(power ?? 0));
  }
  return Math.min(most, 10);
}

const MOST_STEPS = 1e8;

/**
 * Decimals of prices or sizes: those of the venue's step, if it says one that its numbers keep to, or those that some
 * numbers need. A step of 0.00000001 beside a price of 60,000 is a bound of the venue's format, no step.
 */
export function decimalsBy(step, values) {
  const largest = Math.max(...values.map(Math.abs), 0);
  return step && largest / step < MOST_STEPS ? decimalsOf([step]) : decimalsOf(values);
}

/** A number with so many decimals. */
export { withDecimals as fixed } from "/charts/axes.js";

/** Do something soon, and at most so often. */
export function paced(act, every_ms) {
  let timer = null,
    last = -Infinity;
  return () => {
    if (timer !== null) return;
    const wait = Math.max(0, last + every_ms - performance.now());
    timer = setTimeout(() => {
      requestAnimationFrame(() => {
        timer = null;
        last = performance.now();
        act();
      });
    }, wait);
  };
}
