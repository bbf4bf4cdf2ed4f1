// Which indicators are drawn over the prices, and which in panes of their own.

const APART = /^(rsi|macd|stochastic|adx|atr|obv)(_|\.|$)|\.(direction|spread|imbalance)$/;
const OF_HUNDRED = /^(rsi|stochastic|adx)_/;
const NEAR = 0.3;

/** Outputs of one indicator belong together; values of flows (quote.mid) do not. */
function groupOf(name) {
  const [family] = name.split(".");
  return family.includes("_") ? family : name;
}

/**
 * Groups {name, outputs, of_hundred} of those over the prices, and of those apart. One that is not known here goes over
 * the prices if its newest value lies near the close of its candle.
 */
export function arranged(series) {
  const over = new Map(),
    apart = new Map();
  for (const name of [...series.indicators.keys()].sort()) {
    const groups = !APART.test(name) && isPrice(series, name) ? over : apart;
    const group = groupOf(name);
    if (!groups.has(group)) groups.set(group, { name: group, outputs: [], of_hundred: OF_HUNDRED.test(group) });
    groups.get(group).outputs.push(name);
  }
  return { over: [...over.values()], panes: [...apart.values()] };
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
