// The menu of what is shown and how: indicators and panes, time zone, colours.

import { at, keyed, made } from "./elements.js";
import { titled } from "./panes.js";
import { prefer, preferences } from "./preferences.js";

export class ViewMenu {
  /** `changed()` is called whenever something else is to be shown. */
  constructor(changed) {
    this.changed = changed;
    const menu = at("view");
    for (const name of ["zone", "scheme"]) {
      for (const choice of menu.querySelectorAll(`[name=${name}]`)) {
        choice.checked = choice.value === preferences[name];
        choice.addEventListener("change", () => this.take({ [name]: choice.value }));
      }
    }
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    addEventListener("pointerdown", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  }

  take(changes) {
    prefer(changes);
    this.changed();
  }

  /** Offer these indicators and panes, by their names. */
  offer(names) {
    const wanted = names.map((name) => [name, () => this.box(name)]);
    keyed(at("shown"), wanted);
  }

  box(name) {
    const input = made("input");
    input.type = "checkbox";
    input.checked = !preferences.hidden.includes(name);
    input.addEventListener("change", () => {
      const others = preferences.hidden.filter((each) => each !== name);
      this.take({ hidden: input.checked ? others : [...others, name] });
    });
    return made("label", "", input, ` ${titled(name)}`);
  }
}
