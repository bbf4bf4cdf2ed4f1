// The page: joins what comes over the connection with what is drawn.

import { Chart } from "./chart.js";
import { Choice } from "./choice.js";
import { Connection } from "./connection.js";
import { at, fill, light, paced } from "./elements.js";
import { eventLog, notificationLog, signalLog } from "./logs.js";
import { Market } from "./market.js";
import { navigate } from "./navigation.js";
import { Operations } from "./operations.js";
import { ask, setToken } from "./rest.js";
import { History } from "./history.js";
import { Series } from "./series.js";

const LIST_EVERY_MS = 15000,
  SILENT_MS = 10000,
  DRAW_MS = 150;

const market = new Market();
const logs = { signals: signalLog(), notifications: notificationLog(), events: eventLog() };
const chart = new Chart(new Series());
const redraw = paced(() => chart.draw(), 0);
const redrawLive = paced(() => chart.draw(), DRAW_MS);
const past = new History(chart, redraw);
const choice = new Choice(show);
const connection = new Connection(hear, tellConnection);
const operations = new Operations(() => choice.venues, answered);

/** Show the market and interval that were chosen. */
function show() {
  const { venue, symbol, interval } = choice.now;
  document.title = `${symbol} ${interval} on ${venue}: Kandle`;
  at("market").textContent = `${symbol} on ${venue}, ${interval}`;
  market.reset();
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
    const place = channel === "trades" ? market : logs[channel];
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
  else market.take(channel, rows);
  if (channel === "signals") chart.series.takeSignals(rows);
  if (["candles", "indicators", "signals"].includes(channel)) redrawLive();
}

function tellConnection(state, until) {
  at("retry").hidden = state !== "waiting";
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
navigate(chart, redraw, () => past.goBack());
connection.want({ notifications: { channel: "notifications" }, events: { channel: "events" } });
connection.start();
list();
operations.look();
