// What a market says besides candles: quote, book, trades, figures of the day.

import { number, percent } from "/charts/axes.js";
import { at, decimalsOf, fill, fixed, made, momentOf, paced, row } from "./elements.js";

const TAPE = 40,
  LEVELS = 10;

export class Market {
  constructor() {
    this.draw = paced(() => this.drawNow(), 200);
    this.reset();
  }

  reset() {
    this.quote = this.book = this.ticker = null;
    this.trades = [];
    this.ids = new Set();
    this.dropped = 0;
    this.draw();
  }

  /** Rows of one of the channels, oldest first. */
  take(channel, rows) {
    const last = rows.at(-1);
    if (!last) return;
    if (channel === "quotes") this.quote = last;
    else if (channel === "books") this.book = last;
    else if (channel === "tickers") this.ticker = last;
    else this.takeTrades(rows);
    this.draw();
  }

  takeTrades(rows) {
    for (const each of rows) {
      if (this.ids.has(each.trade_id)) continue;
      this.ids.add(each.trade_id);
      this.trades.unshift(each);
    }
    if (rows.length > 1) this.trades.sort((one, other) => other.time - one.time);
    for (const gone of this.trades.splice(TAPE)) this.ids.delete(gone.trade_id);
  }

  drawNow() {
    this.drawTicker();
    this.drawQuote();
    this.drawBook();
    this.drawTape();
  }

  drawTicker() {
    const last = this.trades[0]?.price ?? this.ticker?.last;
    if (last === undefined) {
      fill(at("ticker"));
      return;
    }
    const parts = [made("b", "", number(last))];
    const change = this.ticker?.change_percent;
    if (change !== undefined && change !== null) {
      const text = `${percent(change / 100).replace(/^(?!-)/, "+")} in 24 h`;
      parts.push(made("span", change >= 0 ? "up" : "down", text));
    }
    fill(at("ticker"), ...parts);
  }

  drawQuote() {
    const { quote } = this;
    const shown = quote
      ? [
          ["Bid", quote.bid, "up", quote.bid_size],
          ["Ask", quote.ask, "down", quote.ask_size],
        ]
      : [];
    const parts = shown.map(([name, price, classes, size]) =>
      made(
        "div",
        "",
        made("dt", "", name),
        made("dd", classes, price === null ? "none" : number(price)),
        made("dd", "unit", price === null ? "" : `× ${number(size)}`),
      ),
    );
    if (quote)
      parts.push(made("div", "", made("dt", "", "Spread"), made("dd", "", spread(quote.bid, quote.ask))));
    fill(at("quote"), ...parts);
  }

  drawBook() {
    const { book } = this;
    at("book").hidden = !book;
    const hint = this.quote || book ? "" : "No quotes of this market yet. ";
    fill(
      at("book-hint"),
      book ? "" : `${hint}The ladder needs the channel books of the producer and the flow book_sample(10).`,
    );
    if (!book) return;
    const asks = levels(book.ask_prices, book.ask_sizes),
      bids = levels(book.bid_prices, book.bid_sizes);
    const most = Math.max(asks.at(-1)?.sum ?? 0, bids.at(-1)?.sum ?? 0) || 1;
    ladder("asks", asks.reverse(), most);
    ladder("bids", bids, most);
    const cell = made("th", "unit", `spread ${spread(book.bid_prices[0], book.ask_prices[0])}`);
    cell.colSpan = 3;
    fill(at("between"), made("tr", "", cell));
  }

  drawTape() {
    const prices = decimalsOf(this.trades.map((each) => each.price)),
      sizes = decimalsOf(this.trades.map((each) => each.size));
    const rows = this.trades.map(({ time, side: taker, price, size }) => {
      const way = { buy: "up", sell: "down" }[taker] ?? "";
      return row(momentOf(time), [made("span", way, taker)], [made("span", way, fixed(price, prices))], fixed(size, sizes));
    });
    fill(at("tape"), ...rows);
    fill(
      at("tape-note"),
      this.dropped ? `${this.dropped.toLocaleString("en-US")} left out: this page was too slow` : "",
    );
  }
}

function spread(bid, ask) {
  if (bid === null || ask === null || bid === undefined || ask === undefined) return "–";
  const difference = Number((ask - bid).toPrecision(6));
  return `${number(difference)} (${fixed(((ask - bid) / ((ask + bid) / 2)) * 10000, 2)} bp)`;
}

function levels(prices, sizes) {
  let sum = 0;
  return prices.slice(0, LEVELS).map((price, index) => ({ price, size: sizes[index], sum: (sum += sizes[index]) }));
}

function ladder(id, found, most) {
  const body = at(id);
  const prices = decimalsOf(found.map((each) => each.price)),
    sizes = decimalsOf(found.map((each) => each.size));
  fill(
    body,
    ...found.map(({ price, size, sum }) =>
      row([made("span", id === "asks" ? "down" : "up", fixed(price, prices))], fixed(size, sizes), fixed(sum, sizes)),
    ),
  );
  // Set by the script: the policy of the page forbids styles in attributes.
  [...body.rows].forEach((each, index) =>
    each.style.setProperty("--part", `${((100 * found[index].sum) / most).toFixed(1)}%`),
  );
}
