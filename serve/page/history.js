// The past of the chart: what the snapshot brings, and what is asked for when somebody goes back.

import { ask, askAll } from "./rest.js";
import { Series } from "./series.js";

const AT_ONCE = 500;

export class History {
  constructor(chart, redraw) {
    this.chart = chart;
    this.redraw = redraw;
    this.asking = null;
  }

  /** Begin with another market or interval. */
  begin(market) {
    this.market = market;
    this.asking = null;
    this.chart.reset(new Series());
  }

  /** Candles that have come; a snapshot is the newest of them, without a hole. */
  takeCandles(found, isSnapshot) {
    const { chart } = this;
    if (!found.length) return;
    if (isSnapshot && chart.count && found[0].time > chart.series.last.time) {
      // The connection was away for longer than a snapshot reaches back.
      chart.reset(new Series());
    }
    const { series } = chart;
    const before = chart.count,
      wasEmpty = !before;
    const shifted = series.take(found);
    if (shifted) chart.shift(shifted);
    const gone = chart.follows ? series.trim() : 0;
    if (gone) chart.shift(-gone);
    if (wasEmpty || (chart.follows && chart.count !== before)) chart.newest();
    if (series.older === undefined) series.older = series.candles[0].time;
    // If the server is away now, the next connection brings another snapshot.
    if (isSnapshot) this.complete(series, found[0].time, null).catch(() => {});
  }

  /** Ask for indicators and signals of a range of candles. */
  async complete(series, from, to) {
    const range = { ...this.market, from, to };
    const [values, signals] = await Promise.all([askAll("indicators", range), askAll("signals", range)]);
    series.takeValues(values);
    series.takeSignals(signals);
    if (this.chart.series === series) this.redraw();
  }

  /** Ask for the candles before those that are here, once at a time. */
  async goBack() {
    const { series } = this.chart;
    const { older } = series;
    if (this.asking === series || older === null || older === undefined) return;
    this.asking = series;
    try {
      const page = await ask("candles", { ...this.market, before: older, limit: AT_ONCE });
      if (this.chart.series !== series) return;
      series.older = page.before;
      if (page.data.length) {
        const found = page.data.map((each) => ({ ...each, closed: true }));
        this.chart.shift(series.take(found));
        this.redraw();
        await this.complete(series, found[0].time, older);
      }
    } catch {
      // Whoever goes back asks again; that the server is away is said by who asks it all the time.
    } finally {
      if (this.asking === series) this.asking = null;
    }
  }
}
