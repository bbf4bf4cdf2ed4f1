// Distributions, and the table of trades.

function drawBins(id, found, what) {
  const plot = plotOf(id);
  plot.begin();
  if (!found) {
    plot.add("text", { x: 0, y: 30 }, "There are none.");
    return;
  }
  const left = 44,
    bottom = plot.height - 38,
    inner = plot.width - left - 8;
  const { first, width, counts } = found;
  const end = first + width * counts.length,
    low = Math.min(first, 0),
    high = Math.max(end, 0);
  const x = (value) => left + ((value - low) / (high - low)) * inner;
  const most = Math.max(...counts);
  const y = (count) => bottom - (count / most) * (bottom - 26);
  for (const [value, text] of withStep(valueTicks(0, most, 4).filter(Number.isInteger))) {
    plot.add("line", { class: "grid", x1: left, x2: left + inner, y1: y(value), y2: y(value) });
    plot.add("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, text);
  }
  for (const [value, text] of withStep(valueTicks(100 * low, 100 * high, inner / 75))) {
    plot.add("text", { x: x(value / 100), y: bottom + 16, "text-anchor": "middle" }, `${text} %`);
  }
  counts.forEach((count, index) => {
    const from = first + index * width;
    const bin = plot.add("rect", {
      class: `bin ${from >= -width / 2 ? "rise" : "fall"}`,
      x: x(from) + 0.5,
      width: Math.max(0.5, x(from + width) - x(from) - 1),
      y: y(count),
      height: bottom - y(count),
    });
    const name = document.createElementNS(SVG, "title");
    name.textContent = `${percent(from)} to ${percent(from + width)}: ${count} ${what}`;
    bin.append(name);
  });
  plot.add("line", { class: "zero", x1: x(0), x2: x(0), y1: 22, y2: bottom });
  plot.add("line", { class: "average", x1: x(found.mean), x2: x(found.mean), y1: 18, y2: bottom });
  plot.add("line", { class: "median", x1: x(found.median), x2: x(found.median), y1: 18, y2: bottom });
  const text = `mean ${percent(found.mean)} (line), median ${percent(found.median)} (dashed)`;
  plot.add("text", { class: "label", x: left, y: 11 }, text);
  plot.add(
    "text",
    { x: left + inner / 2, y: plot.height - 4, "text-anchor": "middle" },
    `return; bars: number of ${what}`,
  );
  const count = counts.reduce((sum, each) => sum + each, 0);
  plot.root.setAttribute(
    "aria-label",
    `Distribution of ${count} ${what}: ${text}, from ${percent(first)} to ${percent(end)}`,
  );
}

function drawDistributions() {
  drawBins("trade-returns", DATA.distributions.trades, "trades");
  drawBins("day-returns", DATA.distributions.days, "days");
}

const several = DATA.markets.length > 1;
const asText = (value) => value;
const wholeDays = [...TRADES.entry_ms, ...TRADES.exit_ms].every((ms) => ms % DAY === 0);
const at = wholeDays ? day : (ms) => `${day(ms)} ${clock(ms)}`;
const HEADINGS = [
  ["#", (trade) => TRADES.number[trade], null],
  ...(several ? [["market", (trade) => DATA.markets[TRADES.market[trade]], asText]] : []),
  ["side", (trade) => (TRADES.size[trade] > 0 ? "long" : "short"), asText],
  ["profit", (trade) => TRADES.profit[trade], amount],
  ["profit %", (trade) => 100 * TRADES.part[trade], (value) => value.toFixed(2)],
  ["size", (trade) => Math.abs(TRADES.size[trade]), number],
  ["entry", (trade) => TRADES.entry_ms[trade], at],
  ["entry price", (trade) => TRADES.entry_price[trade], number],
  ["exit", (trade) => TRADES.exit_ms[trade], (value, trade) => (TRADES.open[trade] ? "open" : at(value))],
  ["exit price", (trade) => TRADES.exit_price[trade], number],
  ["held", (trade) => TRADES.exit_ms[trade] - TRADES.entry_ms[trade], span],
  ["fee", (trade) => TRADES.fee[trade], amount],
];
const PAGE = 50;
const listing = { order: TRADES.size.map((_, trade) => trade), column: 0, down: false, rows: PAGE };

function makeTable() {
  const table = document.getElementById("trades");
  const head = table.createTHead().insertRow();
  HEADINGS.forEach(([name], column) => {
    const cell = document.createElement("th"),
      button = document.createElement("button");
    cell.scope = "col";
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => sortBy(column));
    if (HEADINGS[column][2] === asText) cell.className = "text";
    cell.append(button);
    head.append(cell);
  });
  table.createTBody();
  document.getElementById("more").addEventListener("click", () => {
    listing.rows += 10 * PAGE;
    fillTable();
  });
  fillTable();
}

function sortBy(column) {
  listing.down = listing.column === column ? !listing.down : HEADINGS[column][0].startsWith("profit");
  listing.column = column;
  const value = HEADINGS[column][1],
    sign = listing.down ? -1 : 1;
  listing.order.sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    return sign * (a < b ? -1 : a > b ? 1 : 0) || one - other;
  });
  fillTable();
}

function fillTable() {
  const table = document.getElementById("trades"),
    body = table.tBodies[0];
  table.querySelectorAll("th").forEach((cell, column) => {
    if (column === listing.column) cell.setAttribute("aria-sort", listing.down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
  body.replaceChildren(...listing.order.slice(0, listing.rows).map(rowOf));
  const left = listing.order.length - listing.rows,
    more = document.getElementById("more");
  more.hidden = left <= 0;
  more.textContent = `Show ${Math.min(left, 10 * PAGE)} more of ${left} left`;
}

function rowOf(trade) {
  const row = document.createElement("tr");
  for (const [name, value, write] of HEADINGS) {
    const cell = row.insertCell(),
      found = value(trade);
    if (write) cell.textContent = write(found, trade);
    else {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = found;
      button.setAttribute("aria-label", `show trade ${found} in the chart`);
      button.addEventListener("click", () => showTrade(trade));
      cell.append(button);
    }
    if (name.startsWith("profit")) cell.className = found >= 0 ? "up" : "down";
    if (write === asText) cell.className = "text";
  }
  return row;
}

function everything() {
  drawAll();
  drawStrip();
  drawDistributions();
}

makeTable();
everything();
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) everything();
  width = innerWidth;
});
for (const moment of ["beforeprint", "afterprint"]) addEventListener(moment, everything);
