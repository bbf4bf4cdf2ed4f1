// How the pipeline stands: venues, stages, topics, dead letters; asked for every two seconds.

import { showDetail, timeField } from "./detail.js";
import { at, fill, keyed, light, made, momentOf, rate, row, seconds } from "./elements.js";
import { ask } from "./rest.js";

const EVERY_MS = 2000;
const LATE_S = 10,
  SKEWED_S = 1,
  LETTERS = 20;

export class Operations {
  /** `fails(error)` is told when the server does not answer; `venues()` gives the venues that have markets. */
  constructor(venues, fails) {
    this.venues = venues;
    this.fails = fails;
    this.letters = null;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.look();
    });
  }

  /** Look now, and again for as long as the page can be seen. */
  async look() {
    clearTimeout(this.timer);
    this.timer = null;
    const own = (this.looking = {});
    try {
      const state = await ask("pipeline");
      if (this.looking !== own) return;
      this.seen = state;
      this.show(state);
      await this.drawLetters(state.dead_letters);
      this.fails(null);
    } catch (error) {
      if (this.looking !== own) return;
      this.drawVenues(null);
      fill(at("pipeline-note"), `not known: ${error.message}`);
      this.fails(error);
    }
    if (!document.hidden && this.looking === own) this.timer = setTimeout(() => this.look(), EVERY_MS);
  }

  drawVenues(feeds) {
    const known = new Map((feeds ?? []).map((each) => [each.venue, each]));
    const names = [...new Set([...this.venues(), ...known.keys()])].sort();
    fill(
      at("venues"),
      ...names.map((name) => {
        const feed = known.get(name);
        if (!feed) return row(name, light("unknown", feeds ? "not heard" : "not known"), "–", "–", "–");
        const delay = warned(seconds(feed.delay_s), feed.connected && feed.delay_s > LATE_S);
        const skew = warned(seconds(feed.skew_s), Math.abs(feed.skew_s ?? 0) > SKEWED_S);
        return row(name, feedLight(feed), delay, skew, warned(whole(feed.gaps), feed.gaps));
      }),
    );
  }

  drawFlow({ time, stages, topics, venues }) {
    const connected = venues.filter((each) => each.connected).length;
    const inTopics = topics.reduce((sum, each) => sum + (each.rate ?? 0), 0);
    const known = topics.some((each) => each.rate !== null);
    const [produce, ...others] = stages;
    const sinks = others.filter(({ name }) => name.startsWith("sink "));
    const between = others.filter(({ name }) => !name.startsWith("sink "));
    const boxes = [
      box("venues", [`${connected} of ${venues.length} connected`], connected < venues.length || !connected),
      stageBox(produce),
      box("topics", [known ? rate(inTopics) : "–", `${topics.length} in use`]),
      ...between.map(stageBox),
      made("li", "sinks", made("ol", "", ...sinks.map(stageBox))),
    ];
    fill(at("flow"), ...boxes);
    fill(at("pipeline-note"), `seen at ${momentOf(time)}`);
  }

  drawTopics({ topics, sinks }) {
    const behind = new Map();
    for (const { topic, lag_records } of sinks)
      behind.set(topic, Math.max(behind.get(topic) ?? 0, lag_records));
    const rows = topics.map(({ topic, records, rate: each }) =>
      row(topic, whole(records), rate(each), behind.has(topic) ? whole(behind.get(topic)) : "–"),
    );
    fill(at("topics"), ...rows);
  }

  async drawLetters(count) {
    if (count === this.letters) return;
    const { data } = count ? await ask("dead-letters") : { data: [] };
    this.letters = count;
    keyed(
      at("letters"),
      data.filter((each) => each.records).map((each) => [JSON.stringify(each), () => letterLine(each)]),
    );
    fill(
      at("letters-note"),
      ...light(count ? "bad" : "good", count ? `${whole(count)} in all; kandle dlq settles them` : "There are none."),
    );
  }

  /** Draw what was seen last again. */
  draw() {
    if (this.seen) this.show(this.seen);
  }

  show(state) {
    this.drawVenues(state.venues);
    this.drawFlow(state);
    this.drawTopics(state);
  }
}

const whole = (value) => value.toLocaleString("en-US");
const warned = (text, isBad) => (isBad ? [made("b", "down", text)] : text);

/** A line that opens the newest letters of a topic. */
function letterLine({ topic, records }) {
  const line = made("button", "line", made("b", "", topic), " ", made("span", "unit", whole(records)));
  line.type = "button";
  line.addEventListener("click", async () => {
    showDetail(topic, [["Loading …", []]]);
    try {
      const { data } = await ask(`dead-letters/${topic}`, { limit: LETTERS });
      showDetail(topic, data.map(partsOfLetter));
    } catch (error) {
      showDetail(topic, [[error.message, []]]);
    }
  });
  return made("li", "", line);
}

const partsOfLetter = (letter) => [
  letter.cause,
  [
    ["Put aside", timeField(letter.time)],
    ["By", letter.stage],
    ["Read at", letter.source],
    ["Stands at", `${letter.partition}/${letter.offset}`],
    ["State", letter.outcome ?? "waits"],
    ["Key", letter.key],
    ["Value", letter.value],
    ["Bytes", whole(letter.size)],
  ],
];

function feedLight({ connected, ended, silent_s }) {
  if (ended) return light("bad", "ended");
  return connected ? light("good", "connected") : light("bad", `silent ${seconds(Math.round(silent_s))}`);
}

function stageBox({ name, rate: each, lag_records, lag_s }) {
  const behind = lag_records === null ? null : `${whole(lag_records)} behind`;
  const lag = lag_s === null ? null : `lag ${seconds(lag_s)}`;
  return box(name, [rate(each), behind, lag], lag_s !== null && lag_s > LATE_S);
}

function box(name, texts, late = false) {
  const lines = texts.filter(Boolean).map((text) => made("span", "", text));
  return made("li", late ? "box late" : "box", made("b", "", name), ...lines, ...(late ? [made("i", "", "late")] : []));
}
