// Which steps the charts show: buttons, drag, pinch, wheel, keys, and the strip that shows all of the run.

const area = document.getElementById("plots"),
  strip = plotOf("overview");
const FEWEST = Math.min(COUNT, 12);
let asked = false;

function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    drawAll();
    drawStrip();
  });
}

/** Show these steps, or as much of them as there is. */
function show(from, to) {
  const length = Math.min(COUNT, Math.max(FEWEST, to - from));
  const center = (from + to) / 2;
  view.from = Math.max(0, Math.min(COUNT - length, center - length / 2));
  view.to = view.from + length;
  for (const button of document.querySelectorAll("#spans button"))
    button.setAttribute("aria-pressed", "false");
  redraw();
}

function zoom(factor, at = (view.from + view.to) / 2) {
  show(at - (at - view.from) * factor, at + (view.to - at) * factor);
}

const move = (share) =>
  show(view.from + share * (view.to - view.from), view.to + share * (view.to - view.from));

function drawStrip() {
  strip.begin();
  strip.inner = strip.width - RIGHT;
  strip.bottom = strip.height - 4;
  const { groups } = visible(0, COUNT, Math.floor(strip.inner / 2));
  const low = Math.min(...DATA.equity),
    high = Math.max(...DATA.equity);
  const y = (value) => strip.bottom - ((value - low) / (high - low || 1)) * (strip.bottom - 4);
  const x = (step) => (step / COUNT) * strip.inner;
  strip.add("rect", { x: 0, y: 0, width: strip.inner, height: strip.height, fill: "transparent" });
  strip.add("path", {
    class: "curve equity",
    d: line(groups.map((group) => [x(middle(group)), y(DATA.equity[group[1] - 1])])),
  });
  strip.add("rect", {
    class: "window",
    x: x(view.from),
    y: 0.5,
    width: Math.max(2, x(view.to) - x(view.from)),
    height: strip.height - 1,
    rx: 3,
  });
}

const stepOf = (part) => view.from + part * (view.to - view.from);

const gestures = new Gestures(area, () => plots.price.inner, {
  cursor(part) {
    if (!view.shown) return;
    view.cursor = part === null ? null : Math.max(0, Math.min(COUNT - 1, Math.floor(stepOf(part))));
    drawCursor();
  },
  slide: move,
  zoom: (factor, part = 0.5) => zoom(factor, stepOf(part)),
  read,
  all: () => show(0, COUNT),
  first: () => show(0, view.to - view.from),
  last: () => show(COUNT - (view.to - view.from), COUNT),
});
for (const each of Object.values(plots)) gestures.on(each.root);

strip.root.addEventListener("pointerdown", (event) => {
  strip.root.setPointerCapture(event.pointerId);
  center(event);
});
strip.root.addEventListener("pointermove", (event) => {
  if (event.buttons) center(event);
});
function center(event) {
  const at = ((event.clientX - strip.root.getBoundingClientRect().left) / strip.inner) * COUNT;
  show(at - (view.to - view.from) / 2, at + (view.to - view.from) / 2);
}

/** Move the cursor by what is drawn, a candle further. */
function read(steps) {
  const { groups } = view.shown;
  const at =
    view.cursor === null
      ? steps > 0
        ? -1
        : groups.length
      : groups.findIndex(([, end]) => end > view.cursor);
  const next = groups[at + steps];
  if (next) view.cursor = Math.min(COUNT - 1, Math.floor(middle(next)));
  else move(steps / 4);
  redraw();
}

const SPANS = [
  ["all", Infinity],
  ["5 y", 5 * 365 * DAY],
  ["1 y", 365 * DAY],
  ["3 m", 91 * DAY],
  ["1 m", 30 * DAY],
  ["1 w", 7 * DAY],
  ["1 d", DAY],
];
const total = TIMES.at(-1) - TIMES[0];
for (const [name, length] of SPANS) {
  if (length !== Infinity && (length > total * 0.9 || length < 12 * DATA.length)) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = name;
  button.setAttribute("aria-pressed", String(length === Infinity));
  button.addEventListener("click", () => {
    const end = Math.ceil(view.to);
    const first = length === Infinity ? 0 : Math.max(0, stepAt(TIMES[end - 1] - length));
    if (length === Infinity) show(0, COUNT);
    else show(first, Math.max(end, stepAt(TIMES[first] + length)));
    button.setAttribute("aria-pressed", "true");
  });
  document.getElementById("spans").append(button);
}
for (const [id, act] of [
  ["earlier", () => move(-0.5)],
  ["later", () => move(0.5)],
  ["closer", () => zoom(0.5)],
  ["wider", () => zoom(2)],
]) {
  document.getElementById(id).addEventListener("click", act);
}

const choice = document.getElementById("market");
for (const name of Object.keys(DATA.prices)) choice.add(new Option(name, name));
document.getElementById("market-choice").hidden = choice.length < 2;
choice.addEventListener("change", () => {
  view.market = choice.value;
  redraw();
});

/** Zoom to one trade, with its length on both sides. */
function showTrade(trade) {
  const market = DATA.markets[TRADES.market[trade]];
  if (DATA.prices[market]) view.market = choice.value = market;
  const from = TRADES.entry_step[trade],
    to = TRADES.exit_step[trade] + 1;
  view.cursor = from;
  show(from - Math.max(to - from, 15), to + Math.max(to - from, 15));
  area.focus({ preventScroll: true });
  area.scrollIntoView({ block: "center" });
}
