// Which market and interval is shown: the pickers, and the address that keeps it.

import { at } from "./elements.js";
import { SymbolPicker } from "./symbol_picker.js";

const PREFERRED = ["1m", "5m", "1s"];

export class Choice {
  /** `chosen()` is called whenever another market or interval is shown; `market` is the instrument that is. */
  constructor(chosen) {
    this.chosen = chosen;
    this.instruments = [];
    this.now = null;
    this.market = null;
    for (const name of ["venue", "interval"])
      at(name).addEventListener("change", () => this.pick({ [name]: at(name).value }));
    this.symbols = new SymbolPicker((symbol) => this.pick({ symbol }));
    at("choice").addEventListener("submit", (event) => event.preventDefault());
    addEventListener("popstate", () => this.settle(this.asked()));
  }

  get venues() {
    return [...new Set(this.instruments.map((each) => each.venue))];
  }

  /** What the address asks for. */
  asked() {
    return Object.fromEntries(new URLSearchParams(location.search));
  }

  /** Take the list of instruments, now or again; keep what is shown if it is still there. */
  take(instruments) {
    const list = JSON.stringify(instruments);
    if (list === this.list) return;
    this.list = list;
    this.instruments = instruments;
    if (instruments.length) this.settle(this.now ?? this.asked());
  }

  pick(wish) {
    this.settle({ ...this.now, ...wish }, true);
  }

  /** Show what comes nearest to a wish. */
  settle(wanted, isNew = false) {
    const of_venue = this.instruments.filter((each) => each.venue === wanted.venue);
    const among = of_venue.length ? of_venue : this.instruments;
    const market =
      among.find((each) => each.symbol === wanted.symbol) ??
      among.find((each) => each.intervals.length) ??
      among[0];
    if (!market) return;
    this.market = market;
    const lengths = market.intervals.length ? market.intervals : PREFERRED.slice(0, 1);
    const interval =
      [wanted.interval, ...PREFERRED].find((each) => lengths.includes(each)) ?? lengths[0];
    const next = { venue: market.venue, symbol: market.symbol, interval };
    options("venue", this.venues, next.venue);
    const listed = this.instruments.filter((each) => each.venue === next.venue);
    this.symbols.take(
      listed.map((each) => each.symbol),
      next.symbol,
    );
    options("interval", lengths, next.interval);
    if (JSON.stringify(next) === JSON.stringify(this.now)) return;
    this.now = next;
    const address = `?${new URLSearchParams(next)}`;
    if (isNew) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    this.chosen();
  }
}

function options(id, values, chosen) {
  const picker = at(id);
  if (JSON.stringify([...picker.options].map((each) => each.value)) !== JSON.stringify(values))
    picker.replaceChildren(...values.map((value) => new Option(value, value)));
  picker.value = chosen;
}
