// Small pieces of the page: elements, rows and texts.

import { clock, day } from "/charts/axes.js";

export const at = (id) => document.getElementById(id);

/** An element with classes, and texts or elements in it. */
export function made(name, classes = "", ...content) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...content);
  return element;
}

/** A row of a table; the first cell is its heading. */
export function row(...cells) {
  const [first, ...others] = cells.map((content) => (Array.isArray(content) ? content : [content]));
  const heading = made("th", "text", ...first);
  heading.scope = "row";
  return made("tr", "", heading, ...others.map((content) => made("td", "", ...content)));
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

/** µs since the epoch as a time of day with seconds, and the day if it is not today's. */
export function momentOf(time) {
  const ms = time / 1000,
    text = clock(ms).length < 8 ? `${clock(ms)}:00` : clock(ms);
  return day(ms) === day(Date.now()) ? text : `${day(ms)} ${text}`;
}

/** Seconds for people: milliseconds below one, a digit below ten. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) < 0.9995) return `${Math.round(value * 1000)} ms`;
  return Math.abs(value) < 10 ? `${value.toFixed(1)} s` : `${Math.round(value).toLocaleString("en-US")} s`;
}

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

/** A number with so many decimals. */
export const fixed = (value, decimals) =>
  value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

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
