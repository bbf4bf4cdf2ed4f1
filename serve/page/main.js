// The page: joins what comes over the connection with what is drawn.

import { Chart } from "./chart.js";
import { Choice } from "./choice.js";
import { Connection } from "./connection.js";
import { showDetail } from "./detail.js";
import { at, fill, light, paced } from "./elements.js";
import { eventLog, notificationLog, partsOfSignal, signalLog } from "./logs.js";
import { Market } from "./market.js";
import { navigate } from "./navigation.js";
import { Operations } from "./operations.js";
import { History } from "./history.js";
import { zoneName } from "./preferences.js";
import { ask, setToken } from "./rest.js";
import { Series } from "./series.js";
import { Tape } from "./tape.js";
import { ViewMenu } from "./view_menu.js";

const LIST_EVERY_MS = 15000,
  SILENT_MS = 10000,
  DRAW_MS = 150;

const choice = new Choice(show);
const shown = () => choice.market;
const market = new Market(shown);
const tape = new Tape(shown);
const logs = { signals: signalLog(() => choice.now), notifications: notificationLog(), events: eventLog() };
const chart = new Chart(new Series());
chart.market = shown;
const redraw = paced(() => chart.draw(), 0);
const redrawLive = paced(() => {
  past.fold();
  chart.draw();
}, DRAW_MS);
const past = new History(chart, redraw);
const view = new ViewMenu(changeView);
chart.offer = (names) => view.offer(names);
const connection = new Connection(hear, tellConnection);
const operations = new Operations(() => choice.venues, answered);

/** Show the market and interval that were chosen. */
function show() {
  const { venue, symbol, interval } = choice.now;
  document.title = `${symbol} ${interval} on ${venue}: Kandle`;
  at("market").textContent = `${symbol} on ${venue}, ${interval}`;
  market.reset();
  tape.reset();
  logs.signals.reset();
  past.begin(choice.now);
  const of_market = { venue, symbol };
  connection.want({
    candles: { channel: "candles", ...choice.now },
    indicators: { channel: "indicators", ...choice.now },
    signals: { channel: "signals", ...choice.now },
    trades: { channel: "trades", ...of_market },
    quotes: { channel: "quotes", ...of_market },
    books: { channel: "books", ...of_market },
    tickers: { channel: "tickers", ...of_market },
  });
  redraw();
}

/** Draw everything anew: times in another zone, other panes. */
function changeView() {
  at("zone-name").textContent = zoneName();
  for (const part of [market, tape, operations, ...Object.values(logs)]) part.draw();
  redraw();
}

/** Whether a message is of what is shown, and not of what was shown before. */
function isMeant(message) {
  return ["venue", "symbol", "interval"].every(
    (name) => message[name] === undefined || message[name] === choice.now?.[name],
  );
}

function hear(message) {
  const { type, channel } = message;
  if (type === "error" || type === "warning") complain(message.message);
  if (!isMeant(message)) return;
  if (type === "dropped") {
    const place = channel === "trades" ? tape : logs[channel];
    if (place) {
      place.dropped += message.count;
      place.draw();
    }
    return;
  }
  if (type !== "snapshot" && type !== "change") return;
  const rows = type === "snapshot" ? message.data : [message.data];
  if (channel === "candles") past.takeCandles(rows, type === "snapshot");
  else if (channel === "indicators") chart.series.takeValues(rows);
  else if (channel in logs) logs[channel].take(rows);
  else if (channel === "trades") takeTrades(rows, type === "change");
  else market.take(channel, rows);
  if (channel === "signals") chart.series.takeSignals(rows);
  if (["candles", "indicators", "signals", "trades"].includes(channel)) redrawLive();
}

function takeTrades(rows, areNew) {
  const fresh = tape.take(rows);
  if (tape.trades.length) market.trade(tape.trades[0].price);
  if (areNew) past.takeTrades(fresh);
}

function tellConnection(state, until) {
  at("retry").hidden = state !== "waiting";
  // What stands there is what was.
  document.body.classList.toggle("stale", state !== "live");
  clearInterval(tellConnection.timer);
  const tell = () => {
    const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    const texts = { live: "live", connecting: "connecting", waiting: `connection lost, next try in ${left} s` };
    fill(at("connection"), ...light({ live: "good", waiting: "bad" }[state] ?? "unknown", texts[state]));
  };
  tell();
  if (state === "waiting") tellConnection.timer = setInterval(tell, 1000);
}

function complain(text) {
  at("notice").hidden = !text;
  fill(at("notice"), text ?? "");
}

/** The server has answered a question about the pipeline, or not. */
function answered(error) {
  at("ask-token").hidden = error?.status !== 401;
  if (!error) {
    if (choice.instruments.length) complain(null);
    past.mend();
    return;
  }
  complain(error.message);
  if (error.status === 0) connection.doubt(SILENT_MS);
}

/** Read which markets there are; again from time to time, and soon while there are none. */
async function list() {
  clearTimeout(list.timer);
  let found = [];
  try {
    let after = null;
    do {
      const page = await ask("instruments", { after });
      found = found.concat(page.data);
      after = page.after;
    } while (after !== null);
    choice.take(found);
    if (!found.length) complain("Nothing is stored yet: kandle up starts a feed. This page goes on by itself.");
  } catch (error) {
    answered(error);
  }
  list.timer = setTimeout(list, found.length ? LIST_EVERY_MS : LIST_EVERY_MS / 5);
}

at("retry").addEventListener("click", () => connection.retry());
at("ask-token").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(at("token").value);
  list();
  operations.look();
  connection.start();
});
navigate(
  chart,
  redraw,
  () => past.goBack(),
  (signals) => showDetail("Signals of a candle", signals.flatMap(partsOfSignal)),
);
at("zone-name").textContent = zoneName();
connection.want({ notifications: { channel: "notifications" }, events: { channel: "events" } });
connection.start();
list();
operations.look();
