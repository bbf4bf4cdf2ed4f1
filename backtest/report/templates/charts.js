// The charts over time: price with trades, equity, drawdown. All share one axis, on which a step is a step: times
// without candles take no room.

const SVG = "http://www.w3.org/2000/svg";
const RIGHT = 66,
  TOP = 8,
  BOTTOM = 20;
const FULL_MARKS = 150,
  LABEL_ROOM = 45;
const TRADES = DATA.trades;

/** One drawing: its size, and elements that are added to it. */
class Plot {
  constructor(id) {
    this.root = document.getElementById(id);
  }

  begin() {
    this.width = Math.max(this.root.clientWidth, 200);
    this.height = this.root.clientHeight || 120;
    this.root.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.root.replaceChildren();
    this.inner = this.width - RIGHT;
    this.bottom = this.height - BOTTOM;
  }

  add(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    this.root.append(made);
    return made;
  }

  /** Lines and labels of the values; returns where a value lies. */
  values(low, high, wanted, write = (text) => text) {
    const y = (value) => this.bottom - ((value - low) / (high - low || 1)) * (this.bottom - TOP);
    for (const [value, text] of withStep(valueTicks(low, high, wanted))) {
      this.add("line", { class: "grid", x1: 0, x2: this.inner, y1: y(value), y2: y(value) });
      this.add("text", { x: this.inner + 6, y: y(value) + 4 }, write(text));
    }
    return y;
  }

  times(ticks, x) {
    let free = 0;
    for (const [at, text] of ticks) {
      const left = x(at),
        half = text.length * 3.2;
      if (left - half < free || left + half > this.inner + 20) continue;
      this.add("line", { class: "grid", x1: left, x2: left, y1: TOP, y2: this.bottom });
      this.add("text", { x: left, y: this.height - 5, "text-anchor": "middle" }, text);
      free = left + half + 8;
    }
  }
}

const plots = { price: new Plot("price"), equity: new Plot("equity"), under: new Plot("under") };
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

function padded(low, high, share = 0.06) {
  const room = (high - low) * share || Math.abs(high) * 0.01 || 1;
  return [low - room, high + room];
}

function drawPrice(plot, groups, ticks, x) {
  const candles = groups.map((group) => candle(DATA.prices[view.market], group));
  const known = candles.filter(Boolean);
  if (!known.length) return;
  const trades = tradesIn(view.from, view.to);
  const lows = known.map((each) => each.low),
    highs = known.map((each) => each.high);
  const y = plot.values(...padded(Math.min(...lows), Math.max(...highs), 0.08), plot.height / 55);
  plot.times(ticks, x);
  const paths = { rise: ["", ""], fall: ["", ""] };
  candles.forEach((each, index) => {
    if (!each) return;
    const group = groups[index],
      at = x(middle(group));
    const half = Math.max(0.5, Math.min(7, (x(group[1]) - x(group[0])) * 0.34));
    const path = paths[each.close >= each.open ? "rise" : "fall"];
    const top = y(Math.max(each.open, each.close)),
      low = y(Math.min(each.open, each.close));
    path[0] += `M${at.toFixed(1)} ${y(each.high).toFixed(1)}V${top.toFixed(1)}M${at.toFixed(1)} ${low.toFixed(1)}V${y(each.low).toFixed(1)}`;
    path[1] += `M${(at - half).toFixed(1)} ${top.toFixed(1)}H${(at + half).toFixed(1)}V${Math.max(low, top + 0.7).toFixed(1)}H${(at - half).toFixed(1)}Z`;
  });
  const clip = clipped(plot);
  for (const [way, [wicks, bodies]] of Object.entries(paths)) {
    clip.append(
      plot.add("path", { class: `wick ${way}`, d: wicks }),
      plot.add("path", { class: `body ${way}`, d: bodies }),
    );
  }
  const extremes = (step) => {
    const found = candles[groups.findIndex(([, end]) => end > step)];
    return found ? [y(found.high), y(found.low)] : [TOP, plot.bottom];
  };
  drawTrades(plot, clip, trades, x, y, extremes);
}

/** A group whose contents end where the axis begins. */
function clipped(plot) {
  const id = `clip-${plot.root.id}`;
  const region = plot.add("clipPath", { id });
  region.append(plot.add("rect", { x: 0, y: 0, width: plot.inner, height: plot.height }));
  return plot.add("g", { "clip-path": `url(#${id})` });
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

const line = (points) =>
  points.length ? `M${points.map(([left, top]) => `${left.toFixed(1)} ${top.toFixed(1)}`).join("L")}` : "";

function drawEquity(plot, groups, ticks, x) {
  const rows = groups.map(worth);
  const all = rows.flatMap((each) => [each.lowest, each.highest, each.held]);
  const y = plot.values(...padded(Math.min(...all), Math.max(...all)), plot.height / 45);
  plot.times(ticks, x);
  const clip = clipped(plot);
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
  const clip = clipped(plot);
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
