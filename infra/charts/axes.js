// Axes: round steps for values, calendar steps for times, and how both are written.

export const MINUTE = 60000,
  HOUR = 3600000,
  DAY = 86400000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Round values between two others, about so many. */
export function valueTicks(low, high, wanted) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(wanted, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((each) => each * power >= rough) * power;
  const ticks = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) ticks.push(at * step);
  return ticks;
}

const writers = new Map();

/** A number with so many decimals. A writer is kept for each: making one takes longer than a hundred numbers. */
export function withDecimals(value, decimals) {
  if (!writers.has(decimals)) {
    const places = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    writers.set(decimals, new Intl.NumberFormat("en-US", places));
  }
  return writers.get(decimals).format(value);
}

/** A number with as many decimals as ticks of this distance need. */
export function byStep(value, step) {
  const decimals = Math.min(
    10,
    Math.max(
      0,
      -Math.floor(Math.log10(step) + 1e-9) +
        (step / 10 ** Math.floor(Math.log10(step) + 1e-9) === 2.5 ? 1 : 0),
    ),
  );
  return withDecimals(value, decimals);
}

export function withStep(ticks) {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : Math.max(Math.abs(ticks[0]) / 100, 1e-10);
  return ticks.map((value) => [
    value,
    byStep(Math.abs(value) < step / 1e6 ? 0 : value, Number(step.toPrecision(6))),
  ]);
}

const significant = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 9 });
export const number = (value) => significant.format(value);
export const amount = (value) =>
  value.toLocaleString(
    "en-US",
    Math.abs(value) >= 0.1 || value === 0
      ? { minimumFractionDigits: 2, maximumFractionDigits: 2 }
      : { maximumSignificantDigits: 3 },
  );
export const percent = (part) => `${(100 * part).toFixed(2)} %`;

let aheadOf = () => 0;

/** Write times as so many minutes ahead of UTC, by a function of ms since the epoch; without it as UTC. */
export function writeTimesAhead(minutes = () => 0) {
  aheadOf = minutes;
}
const written = (ms) => new Date(ms + aheadOf(ms) * MINUTE);

const two = (value) => String(value).padStart(2, "0");
export function day(ms) {
  const at = written(ms);
  return `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`;
}
export function clock(ms) {
  const at = written(ms),
    seconds = at.getUTCSeconds();
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}${seconds ? `:${two(seconds)}` : ""}`;
}
export const moment = (ms) => (written(ms) % DAY ? `${day(ms)} ${clock(ms)}` : day(ms));

/** A length of time by its two largest units. */
export function span(ms) {
  const parts = [];
  let rest = Math.round(ms / 1000);
  for (const [name, size] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ]) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) parts.push(`${count} ${name}`);
    else if (parts.length) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0 s";
}

const of = (name, length, key) => ({ name, length, key });
const months = (count) => (at) => Math.floor((at.getUTCFullYear() * 12 + at.getUTCMonth()) / count);
const CALENDAR = [
  ...[1, 5, 15, 30].map((each) => of("clock", each * 1000, (at) => Math.floor(at / (each * 1000)))),
  ...[1, 5, 15, 30, 60, 180, 360, 720].map((each) =>
    of("clock", each * MINUTE, (at) => Math.floor(at / (each * MINUTE))),
  ),
  ...[1, 2].map((each) => of("day", each * DAY, (at) => Math.floor(at / (each * DAY)))),
  of("day", 7 * DAY, (at) => Math.floor((at / DAY - 4) / 7)),
  ...[1, 3, 6].map((each) => of("month", each * 30 * DAY, months(each))),
  ...[1, 2, 5, 10].map((each) => of("year", each * 365 * DAY, months(each * 12))),
];

/** Which of some times begin something in the calendar, and how that is written: [index, text]. */
export function timeTicks(times, most) {
  for (const unit of CALENDAR) {
    if (unit.length * most * 3 < times.at(-1) - times[0] && unit !== CALENDAR.at(-1)) continue;
    const found = [];
    let before = null;
    times.forEach((ms, index) => {
      const key = unit.key(written(ms));
      if (before !== null && key !== before) found.push(index);
      before = key;
    });
    if (found.length <= most)
      return found.map((index) => [index, tickText(unit, times[index], times[index - 1])]);
  }
  return [];
}

function tickText(unit, ms, before) {
  const at = written(ms),
    last = written(before);
  if (at.getUTCFullYear() !== last.getUTCFullYear()) return String(at.getUTCFullYear());
  if (unit.name === "month" || (unit.name === "day" && at.getUTCMonth() !== last.getUTCMonth()))
    return MONTHS[at.getUTCMonth()];
  if (unit.name === "clock" && day(ms) === day(before)) return clock(ms);
  return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
}
