// The tape: trades, newest first; older ones are fetched as one scrolls down to them.

import { at, decimalsBy, fill, fixed, keyed, made, momentOf, paced, row } from "./elements.js";
import { zoneName } from "./preferences.js";
import { ask } from "./rest.js";

const LIVE = 50,
  MOST = 2000,
  PAGE = 200,
  NEAR_PX = 80;

export class Tape {
  /** `market()` is what is shown, {venue, symbol, tick_size, lot_size}. */
  constructor(market) {
    this.market = market;
    this.draw = paced(() => this.drawNow(), 200);
    this.scroll = at("tape").closest(".scroll");
    this.scroll.addEventListener("scroll", () => this.scrolled());
    this.reset();
  }

  reset() {
    this.trades = [];
    this.ids = new Set();
    this.dropped = 0;
    this.most = LIVE;
    this.ended = false;
    this.asking = null;
    this.known = false;
    this.scroll.scrollTop = 0;
    this.draw();
  }

  /** Take trades, oldest first; returns those that were not here. */
  take(rows) {
    this.known = true;
    const fresh = rows.filter((each) => !this.ids.has(each.trade_id));
    for (const each of fresh) {
      this.ids.add(each.trade_id);
      this.trades.unshift(each);
    }
    if (fresh.length > 1) this.trades.sort((one, other) => other.time - one.time);
    for (const gone of this.trades.splice(this.most)) {
      this.ids.delete(gone.trade_id);
      this.ended = false;
    }
    this.draw();
    return fresh;
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    if (!scrollTop) this.most = LIVE;
    else if (scrollTop + clientHeight > scrollHeight - NEAR_PX) this.goBack();
  }

  /** Fetch the trades before those that are here, once at a time. */
  async goBack() {
    if (this.asking || this.ended || !this.trades.length || this.trades.length >= MOST) return;
    const asking = (this.asking = {});
    const { venue, symbol } = this.market();
    // A moment may have several trades, and some of them may be here.
    const before = this.trades.at(-1).time + 1;
    try {
      const page = await ask("trades", { venue, symbol, before, limit: PAGE });
      if (this.asking !== asking) return;
      this.most = Math.min(MOST, this.trades.length + PAGE);
      this.take(page.data);
      this.ended = page.before === null;
    } catch {
      // Whoever scrolls on asks again.
    } finally {
      if (this.asking === asking) this.asking = null;
      this.draw();
    }
  }

  drawNow() {
    const { tick_size, lot_size } = this.market() ?? {};
    const prices = decimalsBy(tick_size, this.trades.map((each) => each.price)),
      sizes = decimalsBy(lot_size, this.trades.map((each) => each.size));
    const rows = this.trades.map((each) => [
      `${each.trade_id} ${prices} ${sizes} ${zoneName()}`,
      () => {
        const way = { buy: "up", sell: "down" }[each.side] ?? "";
        const price = [made("span", way, fixed(each.price, prices))];
        return row(momentOf(each.time), [made("span", way, each.side ?? "–")], price, fixed(each.size, sizes));
      },
    ]);
    keyed(at("tape"), rows);
    const ends = this.ended ? "These are all that are stored." : this.asking ? "Reading older ones …" : "";
    fill(at("tape-end"), this.trades.length ? ends : this.known ? "None yet." : "Loading …");
    const lost = this.dropped.toLocaleString("en-US");
    fill(at("tape-note"), this.dropped ? `${lost} left out: this page was too slow` : "");
  }
}
