// What whoever looks has chosen for this browser: kept for the next visit.

import { writeTimesAhead } from "/charts/axes.js";

const KEPT = "kandle.view";
const FIRST = { hidden: [], zone: "utc", scheme: "" };

function kept() {
  try {
    return { ...FIRST, ...JSON.parse(localStorage.getItem(KEPT)) };
  } catch {
    // A browser may refuse to keep anything.
    return { ...FIRST };
  }
}

/** `hidden`: names of indicators that are not drawn; `zone`: utc or local; `scheme`: light, dark or that of the system. */
export const preferences = kept();
apply();

export function prefer(changes) {
  Object.assign(preferences, changes);
  try {
    localStorage.setItem(KEPT, JSON.stringify(preferences));
  } catch {
    // As above: then it holds until the page is closed.
  }
  apply();
}

function apply() {
  const isLocal = preferences.zone === "local";
  writeTimesAhead(isLocal ? (ms) => -new Date(ms).getTimezoneOffset() : undefined);
  document.documentElement.dataset.scheme = preferences.scheme;
}

/** Name of the time zone in which times are written. */
export function zoneName() {
  return preferences.zone === "local" ? Intl.DateTimeFormat().resolvedOptions().timeZone : "UTC";
}
