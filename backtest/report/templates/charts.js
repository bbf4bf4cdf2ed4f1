// The charts over time: price with trades, equity, drawdown. All share one axis, on which a step is a step: times
// without candles take no room.

const FULL_MARKS = 150,
  LABEL_ROOM = 45;
const TRADES = DATA.trades;

const plotOf = (id) => new Plot(document.getElementById(id));
const plots = { price: plotOf("price"), equity: plotOf("equity"), under: plotOf("under") };
const view = { from: 0, to: COUNT, market: Object.keys(DATA.prices)[0], cursor: null, shown: null };

function drawAll() {
  for (const plot of Object.values(plots)) plot.begin();
  const inner = plots.price.inner;
  const x = (step) => ((step - view.from) / (view.to - view.from)) * inner;
  const { length, groups } = visible(view.from, view.to, Math.max(20, Math.floor(inner / 3.5)));
  const firsts = groups.map(([first]) => TIMES[first]);
  const ticks = timeTicks(firsts, Math.max(3, inner / 62)).map(([index, text]) => [groups[index][0], text]);
  view.shown = { groups, x };
  document.getElementById("drawn").textContent = `candles of ${span(length)}`;
  drawPrice(plots.price, groups, ticks, x);
  drawEquity(plots.equity, groups, ticks, x);
  drawUnder(plots.under, groups, ticks, x);
  drawCursor();
}

const middle = ([first, end]) => (first + end) / 2;

function drawPrice(plot, groups, ticks, x) {
  const candles = groups.map((group) => candle(DATA.prices[view.market], group));
  const known = candles.filter(Boolean);
  if (!known.length) return;
  const trades = tradesIn(view.from, view.to);
  const lows = known.map((each) => each.low),
    highs = known.map((each) => each.high);
  const y = plot.values(...padded(Math.min(...lows), Math.max(...highs), 0.08), plot.height / 55);
  plot.times(ticks, x);
  const shapes = candles.flatMap((each, index) => {
    if (!each) return [];
    const [first, end] = groups[index];
    const half = Math.max(0.5, Math.min(7, (x(end) - x(first)) * 0.34));
    return [{ ...each, at: x(middle(groups[index])), half }];
  });
  const clip = plot.clipped();
  plot.candles(clip, shapes, y);
  const extremes = (step) => {
    const found = candles[groups.findIndex(([, end]) => end > step)];
    return found ? [y(found.high), y(found.low)] : [TOP, plot.bottom];
  };
  drawTrades(plot, clip, trades, x, y, extremes);
}

function tradesIn(from, to) {
  const found = [];
  const market = DATA.markets.indexOf(view.market);
  for (let trade = 0; trade < TRADES.size.length; trade++) {
    if (
      TRADES.market[trade] === market &&
      TRADES.exit_step[trade] >= from - 1 &&
      TRADES.entry_step[trade] < to
    )
      found.push(trade);
  }
  return found;
}

function drawTrades(plot, clip, trades, x, y, extremes) {
  if (trades.length > FULL_MARKS) {
    drawRug(plot, clip, trades, x);
    return;
  }
  const taken = [];
  for (const trade of trades) {
    const won = TRADES.profit[trade] >= 0 ? "gain" : "loss";
    const one = [x(TRADES.entry_step[trade] + 0.5), y(TRADES.entry_price[trade])];
    const other = [x(TRADES.exit_step[trade] + 0.5), y(TRADES.exit_price[trade])];
    clip.append(plot.add("path", { class: `held-from ${won}`, d: `M${one}L${other}` }));
    const long = TRADES.size[trade] > 0,
      way = long ? 1 : -1;
    const [left, level] = one;
    const entry = plot.add("path", {
      class: `mark ${long ? "long" : "short"}`,
      d: `M${left} ${level}l5 ${9 * way}h-10Z`,
    });
    clip.append(entry);
    if (!TRADES.open[trade])
      clip.append(plot.add("circle", { class: `mark leave ${won}`, cx: other[0], cy: other[1], r: 3.6 }));
    if (trades.length * LABEL_ROOM > plot.inner) continue;
    const text = percent(TRADES.part[trade]).replace(/^(?!-)/, "+");
    const [high, low] = extremes(TRADES.exit_step[trade]);
    const box = [
      other[0] - text.length * 3.2,
      won === "gain" ? Math.max(high - 8, TOP + 4) : Math.min(low + 16, plot.bottom - 4),
    ];
    if (
      taken.some(([left, top]) => Math.abs(left - box[0]) < text.length * 6.6 && Math.abs(top - box[1]) < 12)
    )
      continue;
    taken.push(box);
    clip.append(plot.add("text", { class: "label", x: box[0], y: box[1] }, text));
  }
}

/** A stroke at the bottom for each trade that has ended: there are too many for marks. */
function drawRug(plot, clip, trades, x) {
  for (const won of ["gain", "loss"]) {
    const own = trades.filter((trade) => TRADES.profit[trade] >= 0 === (won === "gain"));
    const top = plot.bottom - (won === "gain" ? 16 : 8);
    const strokes = own.map((trade) => `M${x(TRADES.exit_step[trade] + 0.5).toFixed(1)} ${top}v7`);
    clip.append(plot.add("path", { class: `rug ${won}`, d: strokes.join("") }));
  }
  const text = `${trades.length.toLocaleString("en-US")} listed trades, a stroke at the exit of each: zoom in for marks`;
  plot.add("text", { class: "label", x: 6, y: TOP + 10 }, text);
}

function drawEquity(plot, groups, ticks, x) {
  const rows = groups.map(worth);
  const all = rows.flatMap((each) => [each.lowest, each.highest, each.held]);
  const y = plot.values(...padded(Math.min(...all), Math.max(...all)), plot.height / 45);
  plot.times(ticks, x);
  const clip = plot.clipped();
  if (DATA.fall) {
    const [peak, , end] = DATA.fall;
    clip.append(
      plot.add("rect", {
        class: "deepest",
        x: x(peak),
        width: Math.max(1, x(end) - x(peak)),
        y: TOP,
        height: plot.bottom - TOP,
      }),
    );
  }
  const at = groups.map((group) => x(middle(group)));
  const of = (name) => rows.map((each, index) => [at[index], y(each[name])]);
  clip.append(
    plot.add("line", { class: "zero", x1: 0, x2: plot.inner, y1: y(DATA.capital), y2: y(DATA.capital) }),
  );
  clip.append(
    plot.add("path", { class: "spread", d: `${line([...of("highest"), ...of("lowest").reverse()])}Z` }),
  );
  clip.append(plot.add("path", { class: "curve held", d: line(of("held")) }));
  clip.append(plot.add("path", { class: "curve equity", d: line(of("equity")) }));
}

function drawUnder(plot, groups, ticks, x) {
  const rows = groups.map(worth);
  const deepest = Math.max(...rows.map((each) => each.under), 0.001);
  const y = plot.values(-deepest * 108, 0, 3, (text) => `${text} %`);
  plot.times(ticks, x);
  const clip = plot.clipped();
  const points = rows.map((each, index) => [x(middle(groups[index])), y(-100 * each.under)]);
  clip.append(
    plot.add("path", {
      class: "below",
      d: `${line([[points[0][0], y(0)], ...points, [points.at(-1)[0], y(0)]])}Z`,
    }),
  );
  if (DATA.fall && DATA.fall[1] >= view.from && DATA.fall[1] < view.to) {
    const bottom = groups.findIndex(([, end]) => end > DATA.fall[1]);
    const at =
      DATA.length < DAY
        ? `${day(TIMES[DATA.fall[1]])} ${clock(TIMES[DATA.fall[1]])}`
        : day(TIMES[DATA.fall[1]]);
    const text = `${percent(-rows[bottom].under)} on ${at}`;
    const left = Math.max(text.length * 3.2, Math.min(points[bottom][0], plot.inner - text.length * 3.2));
    plot.add("text", { class: "label", x: left, y: points[bottom][1] - 6, "text-anchor": "middle" }, text);
  }
}

/** The line at the step that is read, and what stands there. */
function drawCursor() {
  for (const old of document.querySelectorAll(".cross")) old.remove();
  const { groups, x } = view.shown;
  const step = view.cursor === null ? Math.ceil(view.to) - 1 : view.cursor;
  const group = groups.find(([, end]) => end > step) ?? groups.at(-1);
  if (view.cursor !== null) {
    const at = x(middle(group));
    for (const plot of Object.values(plots))
      plot.add("line", { class: "cross", x1: at, x2: at, y1: TOP, y2: plot.bottom });
  }
  tell(group);
}

function tell(group) {
  const prices = candle(DATA.prices[view.market], group),
    row = worth(group);
  const parts = [["", moment(TIMES[group[0]])]];
  if (prices)
    parts.push(
      ["open", number(prices.open)],
      ["high", number(prices.high)],
      ["low", number(prices.low)],
      ["close", number(prices.close)],
    );
  parts.push(
    ["equity", amount(row.equity)],
    ["buy and hold", amount(row.held)],
    ["below the peak", percent(row.under)],
  );
  const reading = document.getElementById("reading");
  reading.replaceChildren(...parts.map(([name, text]) => part(name, text)));
  for (const trade of tradesIn(group[0], group[1])
    .filter((each) => touches(each, group))
    .slice(0, 3)) {
    const way = TRADES.size[trade] > 0 ? "long" : "short";
    const state = TRADES.open[trade] ? "open trade" : "trade";
    reading.append(
      part(
        `${state} ${TRADES.number[trade]}`,
        `${way} ${number(Math.abs(TRADES.size[trade]))}, ${amount(TRADES.profit[trade])} (${percent(TRADES.part[trade])})`,
      ),
    );
  }
}

function touches(trade, [first, end]) {
  return [TRADES.entry_step[trade], TRADES.exit_step[trade]].some((step) => step >= first && step < end);
}

function part(name, text) {
  const made = document.createElement("span"),
    strong = document.createElement("b");
  strong.textContent = text;
  made.append(name ? `${name} ` : "", strong);
  return made;
}
