// Which steps the charts show: buttons, drag, pinch, wheel, keys, and the strip that shows all of the run.

const area = document.getElementById("plots"),
  strip = new Plot("overview");
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

/** The step under the pointer. */
function under(event) {
  const box = plots.price.root.getBoundingClientRect();
  return view.from + ((event.clientX - box.left) / plots.price.inner) * (view.to - view.from);
}

const fingers = new Map();
for (const plot of Object.values(plots)) {
  plot.root.addEventListener("pointerdown", (event) => {
    plot.root.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.clientX);
    view.cursor = Math.max(0, Math.min(COUNT - 1, Math.floor(under(event))));
    redraw();
  });
  plot.root.addEventListener("pointermove", (event) => {
    if (fingers.has(event.pointerId)) drag(event, plot.inner);
    else if (event.pointerType === "mouse" && view.shown) {
      view.cursor = Math.max(0, Math.min(COUNT - 1, Math.floor(under(event))));
      drawCursor();
    }
  });
  plot.root.addEventListener("pointerleave", () => {
    if (!fingers.size && view.shown) {
      view.cursor = null;
      drawCursor();
    }
  });
  for (const end of ["pointerup", "pointercancel"])
    plot.root.addEventListener(end, (event) => fingers.delete(event.pointerId));
  plot.root.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(Math.exp(event.deltaY / 300), under(event));
    },
    { passive: false },
  );
  plot.root.addEventListener("dblclick", () => show(0, COUNT));
}

/** One finger moves, two zoom. */
function drag(event, width) {
  const before = [...fingers.values()];
  const moved = event.clientX - fingers.get(event.pointerId);
  fingers.set(event.pointerId, event.clientX);
  const steps = (view.to - view.from) / width;
  if (before.length === 1) show(view.from - moved * steps, view.to - moved * steps);
  else {
    const after = [...fingers.values()];
    zoom(Math.max(Math.abs(before[0] - before[1]), 8) / Math.max(Math.abs(after[0] - after[1]), 8));
  }
}

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

area.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (steps && event.shiftKey) move(steps / 4);
  else if (steps) read(steps);
  else if (event.key === "+" || event.key === "=") zoom(1 / 1.5);
  else if (event.key === "-") zoom(1.5);
  else if (event.key === "0") show(0, COUNT);
  else if (event.key === "Home") show(0, view.to - view.from);
  else if (event.key === "End") show(COUNT - (view.to - view.from), COUNT);
  else return;
  event.preventDefault();
});

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
