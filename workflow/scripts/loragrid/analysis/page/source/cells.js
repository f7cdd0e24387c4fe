/** Cells of tables, as elements and as what they are sorted by. */

import { make } from "./dom.js";
import { cellText, intervalText, shownKind, valueText, verdictMark, verdictRank } from "./format.js";
import { isNone } from "./rows.js";

/** What a cell shows. */
export function cellElement(column, columns, row) {
  const value = columns[column.key]?.[row];
  if (column.kind === "verdict") return verdictElement(value);
  const text = valueText(value, shownKind(column), column.digits);
  if (column.kind === "code") return isNone(value) ? document.createTextNode(text) : make("code", {}, text);
  const interval = intervalText(column, columns, row);
  const verdict = column.verdict ? columns[column.verdict]?.[row] : null;
  const mark = coloured(verdict) ? make("span", { class: "mark", title: verdict }, ` ${verdictMark(verdict)}`) : null;
  if (column.kind === "text") return make("span", { dir: "auto", class: text.length > 60 ? "long" : text.length > 28 ? "wrapped" : null }, text);
  return make(
    "span",
    { class: ["value", coloured(verdict) ? verdict : ""].join(" ").trim() },
    column.kind === "estimate" ? make("b", {}, text) : text,
    interval ? make("span", { class: "interval" }, ` ${interval}`) : null,
    mark,
  );
}

export function verdictElement(verdict) {
  if (isNone(verdict) || verdict === "") return document.createTextNode("–");
  return make("span", { class: `verdict ${verdict}` }, make("span", { "aria-hidden": "true" }, `${verdictMark(verdict)} `), verdict);
}

/** Only what is outside of the error has a colour. */
function coloured(verdict) {
  return verdict === "better" || verdict === "worse";
}

/** What a cell is sorted by. */
export function sortValue(column, columns, row) {
  const value = columns[column.key]?.[row] ?? null;
  return column.kind === "verdict" ? verdictRank(value) : value;
}

/** Numbers by size, texts as people sort them, with numbers in them by size. */
const collator = new Intl.Collator("en", { numeric: true });

export function inOrder(first, second) {
  if (typeof first === "number" && typeof second === "number") return first - second;
  return collator.compare(String(first), String(second));
}

/** Heads and cells of the shown columns as texts, and in full for CSV: there an estimate has its ends in columns of their own. */
export function shownTexts(shown, columns, rows) {
  return {
    heads: shown.map(({ label }) => label),
    cells: rows.map((row) => shown.map((column) => cellText(column, columns, row))),
  };
}

export function fullValues(shown, columns, rows) {
  const keys = [...new Set(shown.flatMap(({ key, low, high, verdict }) => [key, low, high, verdict].filter((name) => name && columns[name])))];
  return { heads: keys, cells: rows.map((row) => keys.map((key) => columns[key][row])) };
}
