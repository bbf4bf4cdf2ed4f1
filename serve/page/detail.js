// The dialog that shows all of one thing: a signal, an event, a notification, a dead letter.

import { at, exactly, made } from "./elements.js";
import { zoneName } from "./preferences.js";

/** Show parts [title, [[name, text], ...]] below each other; a text of several lines keeps them. */
export function showDetail(title, parts) {
  at("detail-title").textContent = title;
  const shown = parts.map(([head, fields]) => {
    const list = made("dl");
    for (const [name, text] of fields) {
      if (text === null || text === undefined || text === "") continue;
      list.append(made("dt", "", name), made("dd", "", String(text)));
    }
    return made("section", "", ...(head ? [made("h3", "", head)] : []), list);
  });
  at("detail-parts").replaceChildren(...shown);
  if (!at("detail").open) at("detail").showModal();
}

/** A time of a field, with its zone. */
export const timeField = (time) => (time ? `${exactly(time)} ${zoneName()}` : null);

const dialog = at("detail");
at("detail-close").addEventListener("click", () => dialog.close());
// A click beside it: on the dialog itself, not on what lies in it.
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});
