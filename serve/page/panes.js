// Which indicators are drawn over the prices, and which in panes of their own.

const APART = /^(rsi|macd|stochastic|adx|atr|obv)(_|\.|$)|\.(direction|spread|imbalance)$/;
const OF_HUNDRED = /^(rsi|stochastic|adx)_/;
const NEAR = 0.3;

/** Indicators of one pane: outputs of one indicator share it. */
function paneOf(name) {
  const [family] = name.split(".");
  return family.includes("_") ? family : name;
}

/**
 * Names in order: those over the prices, and groups of the others, each {name, outputs, of_hundred}. One that is not
 * known here goes over the prices if its newest value lies near the close of its candle.
 */
export function arranged(series) {
  const over = [],
    panes = new Map();
  for (const name of [...series.indicators.keys()].sort()) {
    if (!APART.test(name) && isPrice(series, name)) over.push(name);
    else {
      const pane = paneOf(name);
      if (!panes.has(pane)) panes.set(pane, { name: pane, outputs: [], of_hundred: OF_HUNDRED.test(pane) });
      panes.get(pane).outputs.push(name);
    }
  }
  return { over, panes: [...panes.values()] };
}

function isPrice(series, name) {
  const values = series.indicators.get(name);
  for (let index = series.candles.length - 1; index >= 0; index--) {
    const { time, close } = series.candles[index];
    const value = values.get(time);
    if (value !== undefined && value !== null) return Math.abs(value / close - 1) < NEAR;
  }
  return false;
}

/** sma_20 as SMA 20, macd_12_26_9.signal as MACD 12 26 9 signal. */
export function titled(name) {
  const [family, output] = name.split(".");
  const [word, ...parameters] = family.split("_");
  const numbers = parameters.filter((each) => /\d/.test(each));
  const words = [word, ...parameters.filter((each) => !/\d/.test(each))].join(" ");
  const short = words.length < 5 ? words.toUpperCase() : words[0].toUpperCase() + words.slice(1);
  return [short, ...numbers, output].filter(Boolean).join(" ");
}
