// Lists of what happened, newest first: signals, notifications, events. Each line opens all of it.

import { showDetail, timeField } from "./detail.js";
import { at, fill, keyed, made, momentOf, paced } from "./elements.js";
import { zoneName } from "./preferences.js";
import { ask } from "./rest.js";

const PAGE = 50,
  MOST = 1000;

/** A list of one channel, whose REST path has the same name. */
export class Log {
  /**
   * `empty` is said where there is nothing; `idOf(row)` tells rows apart; `tell(row)` gives [classes, head, text] of a
   * line, `parts(row)` what `showDetail` shows; `query()` narrows what is asked of REST.
   */
  constructor(id, { empty, idOf, tell, parts, query = () => ({}) }) {
    Object.assign(this, { id, empty, idOf, tell, parts, query });
    this.draw = paced(() => this.drawNow(), 250);
    this.older = made("button", "older", "Older");
    this.older.type = "button";
    this.older.addEventListener("click", () => this.goBack());
    at(id).after(this.older);
    this.reset();
  }

  reset() {
    this.rows = new Map();
    this.dropped = 0;
    this.most = PAGE;
    this.known = this.ended = false;
    this.draw();
  }

  take(rows) {
    this.known = true;
    for (const each of rows) this.rows.set(this.idOf(each), each);
    const newest = [...this.rows.values()].sort((one, other) => other.time - one.time);
    if (newest.length > this.most) this.ended = false;
    this.rows = new Map(newest.slice(0, this.most).map((each) => [this.idOf(each), each]));
    this.draw();
  }

  /** Fetch those before the ones that are here. */
  async goBack() {
    const last = [...this.rows.values()].at(-1);
    const { query } = this;
    this.older.disabled = true;
    try {
      // A moment may have several, and some of them may be here.
      const page = await ask(this.id, { ...query(), before: last.time + 1, limit: PAGE });
      if ([...this.rows.values()].at(-1) !== last) return;
      this.most = this.rows.size + page.data.length;
      this.take(page.data);
      this.ended = page.before === null;
    } catch (error) {
      fill(at(`${this.id}-note`), error.message);
    } finally {
      this.older.disabled = false;
      this.draw();
    }
  }

  drawNow() {
    const rows = [...this.rows.values()].map((each) => [
      `${this.idOf(each)} ${zoneName()}`,
      () => this.line(each),
    ]);
    if (this.dropped) {
      const lost = `${this.dropped.toLocaleString("en-US")} were left out: this page was too slow.`;
      rows.unshift([lost, () => made("li", "unit", lost)]);
    }
    const empty = this.known ? this.empty : "Loading …";
    keyed(at(this.id), rows.length ? rows : [[empty, () => made("li", "unit", empty)]]);
    this.older.hidden = this.ended || this.rows.size < PAGE || this.rows.size >= MOST;
  }

  line(each) {
    const [classes, head, text] = this.tell(each);
    const time = made("time", "", momentOf(each.time));
    time.dateTime = new Date(each.time / 1000).toISOString();
    const line = made("button", "line", time, " ", made("b", classes, head), " ", made("span", "", text));
    line.type = "button";
    line.addEventListener("click", () => showDetail(head, this.parts(each)));
    return made("li", "", line);
  }
}

const DIRECTIONS = { long: "up", short: "down" };
const SEVERITIES = { info: "", warning: "warn", error: "down" };
const rounded = (value) => (typeof value === "number" ? Number(value.toPrecision(9)).toLocaleString("en-US", { maximumSignificantDigits: 9 }) : JSON.stringify(value));

/** All that is known of a signal, as `showDetail` takes it. */
export function partsOfSignal(signal) {
  const { rule, direction, strength, complete, candle_id, values } = signal;
  return [
    [
      null,
      [
        ["Rule", rule],
        ["Direction", direction],
        ["Strength", strength.toFixed(2)],
        ["Market", `${signal.symbol} on ${signal.venue}, ${signal.interval}`],
        ["Candle", timeField(signal.time)],
        ["Fired for the time", timeField(signal.event_time)],
        ["Candle complete", complete ? "yes" : "no: trades are missing"],
        ["Candle's id", candle_id],
      ],
    ],
    ["Values", Object.entries(values ?? {}).map(([name, value]) => [name, rounded(value)])],
  ];
}

export const signalLog = (query) =>
  new Log("signals", {
    empty: "None yet at this interval.",
    idOf: (each) => `${each.time} ${each.rule}`,
    tell: ({ direction, rule, strength }) => [
      DIRECTIONS[direction] ?? "",
      direction,
      `${rule}, strength ${strength.toFixed(2)}`,
    ],
    parts: partsOfSignal,
    query,
  });

export const notificationLog = () =>
  new Log("notifications", {
    empty: "None were sent yet.",
    idOf: (each) => each.id,
    tell: ({ channel, subject, body }) => ["", subject || channel, subject ? `${channel}: ${body}` : body],
    parts: ({ time, id, type, channel, subject, body, cause_id }) => [
      [
        null,
        [
          ["Sent", timeField(time)],
          ["Channel", channel],
          ["Subject", subject],
          ["Text", body],
          ["About", type],
          ["Cause", cause_id],
          ["Id", id],
        ],
      ],
    ],
  });

export const eventLog = () =>
  new Log("events", {
    empty: "None yet.",
    idOf: (each) => each.id,
    tell: ({ severity, type, source, message }) => [SEVERITIES[severity], severity === "info" ? type : `${severity}: ${type}`, `${message} (${source})`],
    parts: ({ time, id, type, source, severity, message, data }) => [
      [
        null,
        [
          ["Time", timeField(time)],
          ["Type", type],
          ["Severity", severity],
          ["Source", source],
          ["Message", message],
          ["Id", id],
        ],
      ],
      ["Data", Object.entries(data ?? {}).map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : value])],
    ],
  });
