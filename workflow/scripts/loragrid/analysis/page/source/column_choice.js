/** Which columns a table shows: as many of the first as there is room for, until the reader chooses. */

import { make, tick } from "./dom.js";
import { isNumeric } from "./format.js";

/** Columns that say what a row is about. */
const NAMES = ["label", "compared"];

/** The columns that stay, however narrow the page is: the first, those with names, and the first that says how good or how much. */
function kept(columns) {
  const telling = columns.findIndex(({ kind, hidden }) => isNumeric(kind) && !hidden);
  const names = columns.map(({ key, hidden }, i) => (NAMES.includes(key) && !hidden ? i : 0));
  return new Set([0, telling, ...names]);
}

/**
 * @param {Object} table of tables.js
 * @returns {{element: Element, start: () => void, fit: () => void}} `start` once the table is there, `fit` to hide what does not fit
 */
export function columnChoice(table) {
  const said = make("span", { class: "soft" });
  const list = make("div", { class: "values", role: "group", "aria-label": "Columns" });
  const element = make("details", { class: "axis choose" }, make("summary", {}, "Columns ", said), list);
  let byReader = false;
  const visible = () => table.seen.map((_, i) => table.engine.column(i + 1).visible());
  const say = () => {
    const shown = visible();
    const number = shown.filter(Boolean).length;
    said.textContent = number < shown.length ? `${number} of ${shown.length}` : "all";
    list.querySelectorAll("input").forEach((box, i) => (box.checked = shown[i]));
  };
  const start = () => {
    table.seen.forEach((column, i) => {
      const box = tick(column.label, false, (checked) => {
        byReader = true;
        table.engine.column(i + 1).visible(checked);
        say();
      });
      if (column.help) box.title = column.help;
      list.append(box);
    });
    say();
    // The engine counts hidden columns of its own rows only.
    new ResizeObserver(() => fit()).observe(table.frame);
  };
  let width = null;
  const fit = () => {
    if (byReader || !table.engine || table.frame.clientWidth === width) return;
    width = table.frame.clientWidth;
    if (!width) return;
    table.seen.forEach((column, i) => table.engine.column(i + 1).visible(!column.hidden, false));
    const wide = () => table.body.scrollWidth > table.frame.clientWidth + 1;
    const staying = kept(table.seen);
    for (let last = table.seen.length - 1; last > 0 && wide(); last--) {
      if (!staying.has(last) && !table.seen[last].hidden) table.engine.column(last + 1).visible(false, false);
    }
    table.engine.rows().invalidate("data").draw(false);
    say();
  };
  document.addEventListener("click", ({ target }) => {
    if (!element.contains(target)) element.open = false;
  });
  return { element, start, fit };
}
