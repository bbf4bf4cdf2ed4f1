// Lists of what happened, newest first: signals, notifications, events.

import { at, fill, made, momentOf, paced } from "./elements.js";

const MOST = 50;

/** A list of one channel; `tell(row)` gives [classes, head, text] of a row. */
export class Log {
  constructor(id, empty, idOf, tell) {
    this.id = id;
    this.empty = empty;
    this.idOf = idOf;
    this.tell = tell;
    this.draw = paced(() => this.drawNow(), 250);
    this.reset();
  }

  reset() {
    this.rows = new Map();
    this.dropped = 0;
    this.draw();
  }

  take(rows) {
    for (const each of rows) this.rows.set(this.idOf(each), each);
    const newest = [...this.rows.values()].sort((one, other) => other.time - one.time).slice(0, MOST);
    this.rows = new Map(newest.map((each) => [this.idOf(each), each]));
    this.draw();
  }

  drawNow() {
    const rows = [...this.rows.values()].map((each) => {
      const [classes, head, text] = this.tell(each);
      const time = made("time", "", momentOf(each.time));
      time.dateTime = new Date(each.time / 1000).toISOString();
      return made("li", "", time, " ", made("b", classes, head), " ", made("span", "", text));
    });
    if (this.dropped)
      rows.unshift(made("li", "unit", `${this.dropped} were left out: this page was too slow.`));
    fill(at(this.id), ...(rows.length ? rows : [made("li", "unit", this.empty)]));
  }
}

const DIRECTIONS = { long: "up", short: "down" };
const SEVERITIES = { info: "", warning: "warn", error: "down" };

export const signalLog = () =>
  new Log(
    "signals",
    "None yet at this interval.",
    (each) => `${each.time} ${each.rule}`,
    ({ direction, rule, strength }) => [
      DIRECTIONS[direction] ?? "",
      direction,
      `${rule}, strength ${strength.toFixed(2)}`,
    ],
  );

export const notificationLog = () =>
  new Log(
    "notifications",
    "None were sent yet.",
    (each) => each.id,
    ({ channel, subject, body }) => ["", subject || channel, subject ? `${channel}: ${body}` : body],
  );

export const eventLog = () =>
  new Log(
    "events",
    "None yet.",
    (each) => each.id,
    ({ severity, type, source, message }) => [SEVERITIES[severity], `${severity}: ${type}`, `${message} (${source})`],
  );
