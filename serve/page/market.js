// What a market says besides candles and trades: quote, book, figures of the day.

import { at, decimalsBy, fill, fixed, made, paced, row, signed } from "./elements.js";

const LEVELS = 10;

export class Market {
  /** `market()` is what is shown, {venue, symbol, tick_size, lot_size}. */
  constructor(market) {
    this.market = market;
    this.draw = paced(() => this.drawNow(), 200);
    this.reset();
  }

  reset() {
    this.quote = this.book = this.ticker = this.last = null;
    this.known = false;
    this.decimals = {};
    this.draw();
  }

  /** The price of the newest trade. */
  trade(price) {
    this.last = price;
    this.draw();
  }

  /** Rows of one of the channels, oldest first. */
  take(channel, rows) {
    const last = rows.at(-1);
    if (channel === "quotes") this.known = true;
    if (last && channel === "quotes") this.quote = last;
    else if (last && channel === "books") this.book = last;
    else if (last && channel === "tickers") this.ticker = last;
    this.draw();
  }

  /** Writes prices, or sizes, as these are: with no fewer decimals than those before them. */
  writer(kind, values) {
    const market = this.market();
    const step = kind === "price" ? market?.tick_size : market?.lot_size;
    if (values.length) this.decimals[kind] = Math.max(this.decimals[kind] ?? 0, decimalsBy(step, values));
    return (value) => fixed(value, this.decimals[kind]);
  }

  prices(...values) {
    return this.writer("price", values);
  }

  sizes(...values) {
    return this.writer("size", values);
  }

  drawNow() {
    this.drawTicker();
    this.drawQuote();
    this.drawBook();
  }

  drawTicker() {
    const last = this.last ?? this.ticker?.last ?? null;
    if (last === null) {
      fill(at("ticker"));
      return;
    }
    const { change_percent: change = null, high = null, low = null, quote_volume = null } = this.ticker ?? {};
    const way = change === null ? "" : change >= 0 ? "up" : "down";
    const figures = [
      ["high", high, this.prices(last)],
      ["low", low, this.prices(last)],
      ["volume", quote_volume, compact],
    ].filter(([, value]) => value !== null);
    fill(
      at("ticker"),
      made("b", way, this.prices(last)(last)),
      ...(change === null ? [] : [made("span", way, `${signed(change / 100)} in 24 h`)]),
      ...figures.map(([name, value, write]) => made("span", "figure", `${name} `, made("b", "", write(value)))),
    );
  }

  drawQuote() {
    const { quote } = this;
    const told = quote ? [quote.bid, quote.ask].filter((each) => each !== null) : [];
    const price = this.prices(...told),
      size = this.sizes(...(quote ? [quote.bid_size, quote.ask_size] : []).filter((each) => each !== null));
    const shown = quote
      ? [
          ["Bid", quote.bid, "up", quote.bid_size],
          ["Ask", quote.ask, "down", quote.ask_size],
        ]
      : [];
    const parts = shown.map(([name, best, classes, there]) =>
      made(
        "div",
        "",
        made("dt", "", name),
        made("dd", classes, best === null ? "none" : price(best)),
        made("dd", "unit", best === null ? "" : `× ${size(there)}`),
      ),
    );
    if (quote)
      parts.push(made("div", "", made("dt", "", "Spread"), made("dd", "", spread(quote.bid, quote.ask, price))));
    fill(at("quote"), ...parts);
  }

  drawBook() {
    const { book } = this;
    at("book").hidden = !book;
    const quotes = this.quote ? "" : "No quotes of this market yet. ";
    const hint = `${quotes}The ladder needs the channel books of the producer and the flow book_sample(10).`;
    fill(at("book-hint"), book ? "" : this.known ? hint : "Loading …");
    if (!book) return;
    const asks = levels(book.ask_prices, book.ask_sizes),
      bids = levels(book.bid_prices, book.bid_sizes);
    const most = Math.max(asks.at(-1)?.sum ?? 0, bids.at(-1)?.sum ?? 0) || 1;
    const price = this.prices(...[...asks, ...bids].map((each) => each.price)),
      size = this.sizes(...[...asks, ...bids].map((each) => each.size));
    ladder("asks", asks.reverse(), most, price, size);
    ladder("bids", bids, most, price, size);
    const cell = made("th", "unit", `spread ${spread(book.bid_prices[0], book.ask_prices[0], price)}`);
    cell.colSpan = 3;
    fill(at("between"), made("tr", "", cell));
  }
}

/** A large number in a few characters. */
const compact = (value) => value.toLocaleString("en-US", { notation: "compact", maximumFractionDigits: 2 });

function spread(bid, ask, price) {
  if (bid === null || ask === null || bid === undefined || ask === undefined) return "–";
  return `${price(ask - bid)} (${fixed(((ask - bid) / ((ask + bid) / 2)) * 10000, 2)} bp)`;
}

function levels(prices, sizes) {
  let sum = 0;
  return prices.slice(0, LEVELS).map((price, index) => ({ price, size: sizes[index], sum: (sum += sizes[index]) }));
}

function ladder(id, found, most, price, size) {
  const body = at(id),
    way = id === "asks" ? "down" : "up";
  fill(body, ...found.map((each) => row([made("span", way, price(each.price))], size(each.size), size(each.sum))));
  // Set by the script: the policy of the page forbids styles in attributes.
  [...body.rows].forEach((each, index) =>
    each.style.setProperty("--part", `${((100 * found[index].sum) / most).toFixed(1)}%`),
  );
}
