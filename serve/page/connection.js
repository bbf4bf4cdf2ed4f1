// The WebSocket: what is subscribed to, and coming back by itself after it was lost.

import { token } from "./rest.js";

const PROTOCOL = "kandle.v1";
const FIRST_MS = 500,
  LONGEST_MS = 15000,
  STEADY_MS = 5000;

/**
 * Names of protocols: the only header that a page may choose for a WebSocket. The token goes there as base64url; in the
 * address it would stand in the logs of whatever lies between.
 */
function protocols() {
  if (!token()) return [PROTOCOL];
  const bytes = String.fromCharCode(...new TextEncoder().encode(token()));
  return [PROTOCOL, `token.${btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`];
}

/**
 * One connection to /ws for as long as the page is open. `hears(message)` gets every message; `tells(state, until)`
 * gets "connecting", "live" and "waiting", and of the last the time in ms at which it is tried again.
 */
export class Connection {
  constructor(hears, tells) {
    this.hears = hears;
    this.tells = tells;
    this.wanted = new Map();
    this.attempts = 0;
    this.heard = 0;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retry();
    });
  }

  /** Connect now. */
  start() {
    clearTimeout(this.timer);
    this.drop();
    this.tells("connecting");
    const address = new URL("/ws", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address, protocols());
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.opened = this.heard = performance.now();
      for (const subscription of this.wanted.values()) this.send("subscribe", subscription);
      this.tells("live");
    });
    socket.addEventListener("message", (event) => {
      if (this.socket !== socket) return;
      this.heard = performance.now();
      this.hears(JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      if (this.socket === socket) this.wait();
    });
  }

  /** Try again at once if it waits to. */
  retry() {
    if (this.timer) this.start();
  }

  /** Give up a connection on which nothing was heard for so long; who calls knows that something is wrong. */
  doubt(silent_ms) {
    if (this.socket?.readyState === WebSocket.OPEN && performance.now() - this.heard > silent_ms) this.wait();
  }

  /** Want these subscriptions, {name: {channel, ...}}: others of these names end, and what is the same stays. */
  want(subscriptions) {
    for (const [name, wanted] of Object.entries(subscriptions)) {
      const before = this.wanted.get(name);
      if (JSON.stringify(before) === JSON.stringify(wanted)) continue;
      if (before) this.send("unsubscribe", before);
      this.wanted.set(name, wanted);
      this.send("subscribe", wanted);
    }
  }

  send(action, subscription) {
    if (this.socket?.readyState === WebSocket.OPEN)
      this.socket.send(JSON.stringify({ action, ...subscription }));
  }

  drop() {
    const socket = this.socket;
    this.socket = this.timer = null;
    socket?.close();
  }

  /** Full jitter below a limit that doubles, from half a second to fifteen. */
  wait() {
    if (this.opened && performance.now() - this.opened > STEADY_MS) this.attempts = 0;
    this.opened = null;
    this.drop();
    const limit = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.attempts++);
    const delay = limit * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.start(), delay);
    this.tells("waiting", Date.now() + delay);
  }
}
