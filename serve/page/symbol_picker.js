// The picker of symbols: a field that searches, with a list below it. A venue may have thousands.

import { at, made } from "./elements.js";

const MOST = 200,
  PAGE = 10;

/** Letters and digits of a text: `btcusdt` finds BTC/USDT. */
const plain = (text) => text.toUpperCase().replaceAll(/[^\p{L}\p{N}]/gu, "");

/** Those of some texts in which the letters stand, first those that begin with them. */
export function matching(texts, letters) {
  const wanted = plain(letters);
  const places = texts.map((text) => [plain(text).indexOf(wanted), text]).filter(([place]) => place >= 0);
  return [...places.filter(([place]) => place === 0), ...places.filter(([place]) => place)].map(([, text]) => text);
}

/** An editable combobox with a list, as the authoring practices of ARIA describe it. */
export class SymbolPicker {
  /** `chosen(symbol)` is called when another one was chosen. */
  constructor(chosen) {
    this.chosen = chosen;
    this.input = at("symbol");
    this.list = at("symbols");
    this.box = at("symbol-list");
    this.symbols = [];
    this.value = "";
    const { input, list } = this;
    input.addEventListener("input", () => this.open(input.value));
    input.addEventListener("click", () => this.open(""));
    input.addEventListener("focus", () => input.select());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.key(event));
    // The field keeps the focus: else it would close before the click arrives.
    this.box.addEventListener("pointerdown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.choose(option.textContent);
    });
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.closest("input, select, dialog")) return;
      event.preventDefault();
      input.focus();
      this.open("");
    });
  }

  /** Offer these symbols, and show that this one is chosen. */
  take(symbols, value) {
    this.symbols = symbols;
    this.value = value;
    if (this.box.hidden) this.input.value = value;
  }

  open(letters) {
    const found = matching(this.symbols, letters);
    const options = found.slice(0, MOST).map((symbol, index) => {
      const option = made("li", "", symbol);
      option.id = `symbol-${index}`;
      option.setAttribute("role", "option");
      return option;
    });
    this.list.replaceChildren(...options);
    const more = found.length - options.length;
    at("symbol-more").textContent = more
      ? `and ${more.toLocaleString("en-US")} more: type a part of the name`
      : found.length
        ? ""
        : "none of that name";
    this.box.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark(letters ? 0 : Math.max(0, found.indexOf(this.value)));
  }

  mark(index) {
    const { children } = this.list;
    this.marked = Math.max(0, Math.min(children.length - 1, index));
    this.list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    const option = children[this.marked];
    this.input.setAttribute("aria-activedescendant", option?.id ?? "");
    if (!option) return;
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.box.hidden = true;
    this.input.value = this.value;
    this.input.setAttribute("aria-expanded", "false");
    this.input.setAttribute("aria-activedescendant", "");
  }

  choose(symbol) {
    const isNew = symbol !== this.value;
    this.value = symbol;
    this.close();
    this.input.select();
    if (isNew) this.chosen(symbol);
  }

  key(event) {
    const isOpen = !this.box.hidden;
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE }[event.key];
    if (by && !isOpen) this.open("");
    else if (by) this.mark(this.marked + by);
    else if (event.key === "Enter" && isOpen) {
      const option = this.list.children[this.marked];
      if (option) this.choose(option.textContent);
    } else if (event.key === "Escape" && isOpen) this.close();
    else return;
    event.preventDefault();
  }
}
