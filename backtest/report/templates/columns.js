// The columns of the page: times of the steps, and steps put together for a screen that has no room for all.

const DATA = JSON.parse(document.getElementById("data").textContent);
const TIMES = [DATA.first];
for (const gap of DATA.gaps) TIMES.push(TIMES.at(-1) + gap);
const COUNT = TIMES.length;
const MONDAY = 4 * DAY;
const LENGTHS = [
  ...[1, 2, 5, 10, 15, 30].map((each) => each * 1000),
  ...[1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720].map((each) => each * MINUTE),
  ...[1, 2, 3, 7, 14, 28, 84, 364].map((each) => each * DAY),
];
const merged = new Map();

/** First step whose time is not before another: where it would stand. */
function stepAt(ms) {
  let low = 0,
    high = COUNT;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (TIMES[middle] < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Steps put together to a length: [first, behind the last] of each. */
function groupsOf(length) {
  if (!merged.has(length)) {
    const groups = [];
    let key = null;
    for (let step = 0; step < COUNT; step++) {
      const own = length === DATA.length ? step : Math.floor((TIMES[step] - MONDAY) / length);
      if (own !== key) groups.push([step, step + 1]);
      else groups.at(-1)[1] = step + 1;
      key = own;
    }
    merged.set(length, groups);
  }
  return merged.get(length);
}

/** The shortest length whose groups between two steps are not more than so many, and these groups. */
function visible(from, to, most) {
  for (const length of [DATA.length, ...LENGTHS.filter((each) => each > DATA.length)]) {
    if (length * most * 8 < DATA.length * (to - from) && length !== LENGTHS.at(-1)) continue;
    const groups = groupsOf(length).filter(([first, end]) => end > from && first < to);
    if (groups.length <= most || length === LENGTHS.at(-1)) return { length, groups };
  }
  return { length: DATA.length, groups: groupsOf(DATA.length) };
}

/** Open, high, low and close of a group; null where the market has no candle. */
function candle(columns, [first, end]) {
  const [opens, highs, lows, closes] = columns;
  let found = null;
  for (let step = first; step < end; step++) {
    if (opens[step] === null) continue;
    if (found === null)
      found = { open: opens[step], high: highs[step], low: lows[step], close: closes[step] };
    found.high = Math.max(found.high, highs[step]);
    found.low = Math.min(found.low, lows[step]);
    found.close = closes[step];
  }
  return found;
}

const LOWEST = DATA.lowest ?? DATA.equity,
  HIGHEST = DATA.highest ?? DATA.equity;

/** Last, lowest and highest equity of a group, its deepest fall, and buy and hold at its end. */
function worth([first, end]) {
  let lowest = Infinity,
    highest = -Infinity,
    under = 0;
  for (let step = first; step < end; step++) {
    lowest = Math.min(lowest, LOWEST[step]);
    highest = Math.max(highest, HIGHEST[step]);
    under = Math.max(under, DATA.under[step]);
  }
  return { equity: DATA.equity[end - 1], lowest, highest, under, held: DATA.held[end - 1] };
}
