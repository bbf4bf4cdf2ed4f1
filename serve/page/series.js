// Candles of one market and interval with what belongs to them: values of indicators, and signals.

const MOST = 20000,
  KEPT = 15000,
  FEW = 20;

/** Index of the first candle whose time is not before another. */
export function indexAt(candles, time) {
  let low = 0,
    high = candles.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (candles[middle].time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A closed candle stays closed, and its newest revision wins. */
const isOlder = (candle, known) =>
  known.closed && (!candle.closed || (candle.revision ?? 0) < (known.revision ?? 0));

export class Series {
  constructor() {
    this.candles = [];
    this.indicators = new Map();
    this.signals = new Map();
    /** Time before which there are older candles to ask for; null: there are none; undefined: not known. */
    this.older = undefined;
  }

  get last() {
    return this.candles.at(-1);
  }

  /** Take candles in any order. */
  take(found) {
    if (found.length <= FEW) for (const each of found) this.put(each);
    else {
      const all = new Map(this.candles.map((each) => [each.time, each]));
      for (const each of found) {
        const known = all.get(each.time);
        if (!known || !isOlder(each, known)) all.set(each.time, each);
      }
      this.candles = [...all.values()].sort((one, other) => one.time - other.time);
    }
  }

  put(candle) {
    const at = indexAt(this.candles, candle.time);
    const known = this.candles[at];
    if (known?.time !== candle.time) this.candles.splice(at, 0, candle);
    else if (!isOlder(candle, known)) this.candles[at] = candle;
  }

  /** Values of indicators, {time, name, value}. */
  takeValues(found) {
    for (const { time, name, value } of found) {
      if (!this.indicators.has(name)) this.indicators.set(name, new Map());
      this.indicators.get(name).set(time, value);
    }
  }

  takeSignals(found) {
    for (const each of found) {
      if (!this.signals.has(each.time)) this.signals.set(each.time, new Map());
      this.signals.get(each.time).set(each.rule, each);
    }
  }

  /** Signals of a candle. */
  signalsAt(time) {
    return [...(this.signals.get(time)?.values() ?? [])];
  }

  /** Forget the oldest candles when there are too many; returns how many. They can be asked for again. */
  trim() {
    if (this.candles.length <= MOST) return 0;
    const gone = this.candles.length - KEPT;
    this.candles = this.candles.slice(gone);
    const first = (this.older = this.candles[0].time);
    for (const values of [...this.indicators.values(), this.signals])
      for (const time of values.keys()) if (time < first) values.delete(time);
    return gone;
  }
}
