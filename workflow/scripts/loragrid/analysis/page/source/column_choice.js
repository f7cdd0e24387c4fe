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
  const visible = () => table.engine.columns().visible().toArray().slice(1);
  const show = (wanted) => {
    const now = visible();
    for (const isShown of [true, false]) {
      const changing = wanted.flatMap((isWanted, i) => (isWanted === isShown && now[i] !== isShown ? [i + 1] : []));
      if (changing.length) table.engine.columns(changing).visible(isShown, false);
    }
  };
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
    const wanted = table.seen.map(({ hidden }) => !hidden);
    show(wanted);
    // A table that is too wide has all columns as narrow as they can be, so what is over goes with the columns that are left out.
    const heads = table.body.tHead.rows[0].cells;
    const widths = new Map(table.seen.flatMap((_, i) => (wanted[i] ? [i] : [])).map((column, place) => [column, heads[place + 1].offsetWidth]));
    let over = table.body.scrollWidth - table.frame.clientWidth - 1;
    const staying = kept(table.seen);
    for (let last = table.seen.length - 1; last > 0 && over > 0; last--) {
      if (staying.has(last) || !wanted[last]) continue;
      wanted[last] = false;
      over -= widths.get(last);
    }
    show(wanted);
    // Rows that are drawn say whether something is left out of them.
    table.engine.rows((_, __, element) => element !== null).invalidate("data").draw(false);
    say();
  };
  document.addEventListener("click", ({ target }) => {
    if (!element.contains(target)) element.open = false;
  });
  return { element, start, fit };
}
