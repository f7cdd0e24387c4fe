/** What stands below a row on demand: the columns that have no room, the rows that it was made of, and the way to its answers. */

import { make } from "./dom.js";
import { cellElement } from "./cells.js";
import { isNumeric } from "./format.js";
import { groupedRows, isNone, keyOf } from "./rows.js";

/** Whether there is anything below a row. */
export function hasDetails(table, row) {
  return linkOf(table, row) !== null || partsOf(table, row).length > 0 || leftOut(table, row).length > 0;
}

/** What stands below a row. */
export function detailsOf(table, row) {
  const left = leftOut(table, row);
  const parts = partsOf(table, row);
  const link = linkOf(table, row);
  return make(
    "div",
    { class: "more" },
    left.length ? make("dl", {}, left.map((column) => make("div", {}, make("dt", {}, column.label), make("dd", {}, cellElement(column, table.columns, row))))) : null,
    parts.length ? plainTable(table.page.payload.tables[table.source.unfold], parts) : null,
    link ? make("p", {}, make("a", { href: link }, "Read these answers")) : null,
  );
}

/** The columns without room that have a value. */
function leftOut(table, row) {
  if (!table.engine) return [];
  const visible = table.engine.columns().visible();
  return table.seen.filter((column, i) => !visible[i + 1] && !isNone(table.columns[column.key]?.[row]));
}

function linkOf(table, row) {
  return table.page.links.answersOf(table.columns, row, table.source.key ?? []);
}

/** The rows of the table to unfold that belong to a row. */
function partsOf(table, row) {
  const { unfold, key } = table.source;
  const parts = unfold ? table.page.payload.tables[unfold] : null;
  if (!parts) return [];
  table.parts ??= groupedRows(parts.rows, key);
  return table.parts.get(keyOf(table.columns, key, row)) ?? [];
}

function plainTable({ columns, rows, title }, shown) {
  const seen = columns.filter(({ hidden }) => !hidden);
  const head = make("tr", {}, seen.map(({ label, kind, help }) => make("th", { scope: "col", title: help ?? null, class: isNumeric(kind) ? "number" : null }, label)));
  const body = shown.map((row) => make("tr", {}, seen.map((column) => make("td", { class: isNumeric(column.kind) ? "number" : null }, cellElement(column, rows, row)))));
  const table = make("table", {}, make("caption", {}, title), make("thead", {}, head), make("tbody", {}, body));
  return make("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": title }, table);
}
