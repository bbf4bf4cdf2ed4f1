// What mouse, fingers and keys ask of charts that share one axis: read, move, zoom.

/**
 * Places on the axis are parts of its width, 0 left and 1 right. `asks` has a method for each wish:
 * cursor(part or null, drawing, pixels below its top), slide(parts, to the later), zoom(factor, part or nothing: the
 * middle), read(candles, to the later), all(), first(), last(); and may have open(drawing, left, top), where somebody
 * pressed without moving, or nothing of these: the Enter key.
 */
export class Gestures {
  constructor(area, inner, asks) {
    this.inner = inner;
    this.asks = asks;
    this.fingers = new Map();
    area.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const { asks } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (steps && event.shiftKey) asks.slide(steps / 4);
    else if (steps) asks.read(steps);
    else if (event.key === "+" || event.key === "=") asks.zoom(1 / 1.5);
    else if (event.key === "-") asks.zoom(1.5);
    else if (event.key === "0") asks.all();
    else if (event.key === "Home") asks.first();
    else if (event.key === "End") asks.last();
    else if (event.key === "Enter" && event.target === event.currentTarget && asks.open) asks.open();
    else return;
    event.preventDefault();
  }

  /** Listen to one drawing. */
  on(root) {
    const { asks, fingers } = this;
    const place = (event) => (event.clientX - root.getBoundingClientRect().left) / this.inner();
    const below = (event) => event.clientY - root.getBoundingClientRect().top;
    let pressed = null;
    root.addEventListener("pointerdown", (event) => {
      root.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, event.clientX);
      pressed = [event.clientX, event.clientY];
      asks.cursor(place(event), root, below(event));
    });
    root.addEventListener("pointermove", (event) => {
      if (fingers.has(event.pointerId)) this.drag(event);
      else if (event.pointerType === "mouse") asks.cursor(place(event), root, below(event));
    });
    root.addEventListener("pointerup", (event) => {
      const moved = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]);
      if (fingers.size === 1 && moved !== null && moved < 4 && asks.open)
        asks.open(root, place(event) * this.inner(), below(event));
    });
    root.addEventListener("pointerleave", () => {
      if (!fingers.size) asks.cursor(null);
    });
    for (const end of ["pointerup", "pointercancel"])
      root.addEventListener(end, (event) => fingers.delete(event.pointerId));
    root.addEventListener(
      "wheel",
      (event) => {
        const sideways = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
        if (event.ctrlKey || event.metaKey) asks.zoom(Math.exp(event.deltaY / 300), place(event));
        else if (Math.abs(sideways) >= Math.abs(event.shiftKey ? 0 : event.deltaY))
          asks.slide(sideways / this.inner());
        else return;
        event.preventDefault();
      },
      { passive: false },
    );
    root.addEventListener("dblclick", () => asks.all());
  }

  /** One finger moves, two zoom. */
  drag(event) {
    const before = [...this.fingers.values()];
    const moved = event.clientX - this.fingers.get(event.pointerId);
    this.fingers.set(event.pointerId, event.clientX);
    if (before.length === 1) this.asks.slide(-moved / this.inner());
    else {
      const after = [...this.fingers.values()];
      this.asks.zoom(
        Math.max(Math.abs(before[0] - before[1]), 8) / Math.max(Math.abs(after[0] - after[1]), 8),
      );
    }
  }
}
