// The candles of the chart: what the snapshot brings, what trades do to the open one, and what is asked for when
// somebody goes back or the connection was away.

import { ask, askAll } from "./rest.js";
import { Series } from "./series.js";

const AT_ONCE = 500,
  FEWEST_ASKED = 300,
  LONGEST_HOLE = 10000,
  RECENT = 5000;
const UNITS = { s: 1e6, m: 60e6, h: 3600e6, d: 86400e6 };

/** Length of an interval in µs; null for those that do not begin at a multiple of it. */
function lengthOf(interval) {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(interval) ?? [];
  return count ? Number(count) * UNITS[unit] : null;
}

export class History {
  constructor(chart, redraw) {
    this.chart = chart;
    this.redraw = redraw;
    this.asking = null;
    this.pending = null;
  }

  /** Begin with another market or interval. */
  begin(market) {
    this.market = market;
    this.length = lengthOf(market.interval);
    this.asking = this.pending = null;
    this.startOver();
    this.chart.loading = true;
  }

  startOver() {
    this.open = null;
    this.recent = [];
    this.chart.reset(new Series());
  }

  /** Candles that have come; a snapshot is the newest of them, without a hole. */
  takeCandles(found, isSnapshot) {
    const { chart } = this;
    if (isSnapshot) {
      chart.loading = false;
      this.expect(found);
    }
    for (const each of found) {
      if (!each.closed) this.open = each;
      else if (each.time >= (this.open?.time ?? Infinity)) this.open = null;
    }
    this.put(found);
    this.fold();
    if (isSnapshot) this.mend();
  }

  /** What a snapshot leaves to be asked for: values at its candles, and those between it and what is here. */
  expect(found) {
    const { series } = this.chart;
    const first = found[0]?.time,
      last = series.last?.time;
    const isHole = last !== undefined && first !== undefined && first > last;
    if (isHole && (!this.length || (first - last) / this.length > LONGEST_HOLE)) {
      this.startOver();
      this.pending = { from: first, candles: false };
    } else if (first === undefined) this.pending = { from: last ?? null, candles: true };
    else this.pending = { from: Math.min(first, last ?? first, this.pending?.from ?? first), candles: isHole || Boolean(this.pending?.candles) };
  }

  /** Put candles where they belong; what is seen stays where it is. */
  put(found) {
    if (!found.length) return;
    const { chart } = this;
    const { series } = chart;
    const before = chart.count;
    const place = chart.place();
    series.take(found);
    chart.keep(place);
    const gone = chart.follows ? series.trim() : 0;
    if (gone) chart.shift(-gone);
    if (!before || (chart.follows && chart.count !== before)) chart.newest();
    if (series.older === undefined) series.older = series.candles[0].time;
  }

  /** Trades that have just been made. */
  takeTrades(rows) {
    if (!this.length || this.chart.loading) return;
    this.recent.push(...rows);
    if (this.recent.length > RECENT) this.recent.splice(0, this.recent.length - RECENT);
  }

  /**
   * Move the open candle by the trades that the server's does not hold yet, and begin the next one: the server writes
   * it once a second, and shorter ones only when they are closed. What the server says takes the place of it.
   */
  fold() {
    const { length, open } = this;
    if (!length || !this.recent.length) return;
    const closed = this.chart.series.candles.findLast((each) => each.closed);
    const last = open && !(closed?.time >= open.time) ? open : closed;
    if (!last) return;
    const until = last.time + length;
    const isNew = ({ time }) => time >= until || (last === open && time >= last.time && time > (open.as_of ?? Infinity));
    this.recent = this.recent.filter(isNew);
    const candles = new Map(last === open && this.recent.length ? [[open.time, { ...open }]] : []);
    for (const { time, price, size } of this.recent) {
      const at = Math.floor(time / length) * length;
      const known = candles.get(at);
      if (!known) {
        candles.set(at, begun(at, price, size));
        continue;
      }
      known.high = Math.max(known.high, price);
      known.low = Math.min(known.low, price);
      known.close = price;
      known.volume += size;
    }
    this.put([...candles.values()]);
  }

  /** Ask for what is to be asked for, if something is, and again when it was refused and somebody calls again. */
  async mend() {
    const { pending } = this;
    const { series } = this.chart;
    if (!pending || this.mending === pending) return;
    this.mending = pending;
    try {
      const { from } = pending;
      if (pending.candles) {
        const page = from === null ? await ask("candles", { ...this.market, limit: FEWEST_ASKED }) : null;
        const found = page?.data ?? (await askAll("candles", { ...this.market, from }));
        if (this.pending !== pending) return;
        this.put(found.map((each) => ({ ...each, closed: true })));
        if (page) series.older = page.before;
      }
      await this.complete(series, from ?? series.candles[0]?.time, null);
      if (this.pending === pending) this.pending = null;
    } catch {
      // The server is away, or has lost its database: whoever learns that it is back calls again.
    } finally {
      if (this.mending === pending) this.mending = null;
    }
  }

  /** Ask for indicators and signals of a range of candles. */
  async complete(series, from, to) {
    const range = { ...this.market, from, to };
    const [values, signals] = await Promise.all([askAll("indicators", range), askAll("signals", range)]);
    series.takeValues(values);
    series.takeSignals(signals);
    if (this.chart.series === series) this.redraw();
  }

  /** Ask for the candles before those that are here, once at a time, until none are needed. */
  async goBack() {
    const { series } = this.chart;
    if (this.asking === series) return;
    this.asking = series;
    this.chart.readsOlder = true;
    try {
      while (this.chart.series === series && this.chart.nearsTheOldest && Number.isFinite(series.older)) {
        const { older } = series;
        const page = await ask("candles", { ...this.market, before: older, limit: AT_ONCE });
        if (this.chart.series !== series) return;
        series.older = page.before;
        if (!page.data.length) continue;
        this.put(page.data.map((each) => ({ ...each, closed: true })));
        this.redraw();
        await this.complete(series, page.data[0].time, older);
      }
    } catch {
      // Whoever goes back asks again; that the server is away is said by who asks it all the time.
    } finally {
      if (this.asking === series) {
        this.asking = null;
        this.chart.readsOlder = false;
        this.redraw();
      }
    }
  }
}

/** A candle of one trade, until the server tells of it. */
function begun(time, price, size) {
  const prices = { open: price, high: price, low: price, close: price };
  return { time, ...prices, volume: size, closed: false, complete: null, revision: 0 };
}
