// The health monitor: each service, and how its last checks ended; asked for every five seconds.

import { at, fill, light, made, momentOf, row, seconds } from "./elements.js";
import { ask } from "./rest.js";

const EVERY_MS = 5000;
const LIGHTS = { healthy: "good", unhealthy: "bad", error: "bad", unknown: "unknown" };
const WHOLES = { healthy: "good", degraded: "bad", unhealthy: "bad" };

let timer = null;

/** Look now, and again for as long as the page can be seen. */
async function look() {
  clearTimeout(timer);
  try {
    draw(await ask("health/services"));
  } catch (error) {
    fill(at("health-note"), `not known: ${error.message}`);
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, EVERY_MS);
}

function draw({ status, healthy, total, every_s, critical_failures, services }) {
  const whole = `${status}: ${healthy} of ${total} services are healthy`;
  const lost = critical_failures.length ? `; critical: ${critical_failures.join(", ")}` : "";
  fill(at("health-note"), ...light(WHOLES[status], `${whole}${lost}; checked every ${every_s}\u00a0s`));
  fill(at("health"), ...services.map(serviceRow));
}

function serviceRow({ name, critical, status, since, failures, last, recent }) {
  const label = critical ? [name, made("span", "unit", " critical")] : [name];
  const streak = failures > 1 ? ` (${failures} in a row)` : "";
  const shown = row(
    label,
    light(LIGHTS[status], status),
    last?.message ? `${last.message}${streak}` : "",
    [strip(recent)],
    since === null ? "–" : momentOf(since),
    last ? seconds(last.response_ms / 1000) : "–",
  );
  const names = ["service", "status", "why", "checks", "since", "response"];
  // On a phone they are laid out as cards, which would else be rows and cells no more to a reader of screens.
  shown.role = "row";
  [...shown.cells].forEach((cell, index) => {
    cell.role = index ? "cell" : "rowheader";
    cell.classList.add(names[index]);
  });
  return shown;
}

/** A bar a check, the newest to the right; whoever cannot see it hears the counts. */
function strip(recent) {
  const bars = recent.map((state) => made("i", LIGHTS[state]));
  const shown = made("span", "strip", ...bars);
  const counts = Object.keys(LIGHTS)
    .map((state) => [recent.filter((each) => each === state).length, state])
    .filter(([count]) => count)
    .map(([count, state]) => `${count} ${state}`);
  shown.setAttribute("role", "img");
  shown.setAttribute("aria-label", `the last ${recent.length} checks: ${counts.join(", ") || "none yet"}`);
  return shown;
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
look();
