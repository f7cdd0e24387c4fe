/** Tables: sorted, searched, grouped and paged by DataTables; filtered by the page; copied as they are shown. */

import { announce, button, choice, make, ownHeading, whenNear } from "./dom.js";
import { cellElement, fullValues, inOrder, shownTexts, sortValue } from "./cells.js";
import { asCsv, asLatex, asMarkdown, copyText } from "./copied.js";
import { cellText, isNumeric } from "./format.js";
import { countRows, matching } from "./rows.js";
import { columnChoice } from "./column_choice.js";
import { detailsOf, hasDetails } from "./details.js";

const PAGE = 15;
/** So many rows go on paper. */
const MOST_ON_PAPER = 200;
/** Columns with so many different texts can be grouped by. */
const MOST_GROUPS = 60;

/**
 * A table in its place; it is made when it comes near what is seen.
 * @param {string} id of the table in the payload
 * @param {Object} page `payload`, `state`, `links` (rows to answers)
 */
export function mountTable(place, id, page) {
  const source = page.payload.tables[id];
  const table = { id, source, page, columns: source.rows, seen: source.columns, engine: null };
  const count = make("span", { class: "soft count", role: "status" });
  const element = make("div", { class: "table" }, ownHeading(place, source.title), source.note ? make("p", { class: "soft" }, source.note) : null);
  place.replaceChildren(element);
  const build = () => {
    if (table.engine) return;
    // Until then it has the height that it will have, so that the page does not jump.
    element.style.minHeight = "";
    Object.assign(table, { element, count });
    table.cut = make("p", { class: "soft on-paper" });
    element.append(toolbar(table), frame(table), table.cut);
    start(table);
  };
  element.style.minHeight = `${Math.min(countRows(source.rows), PAGE) * 2 + 8}rem`;
  whenNear(element, build);
  page.state.listen(({ filters }) => filters && table.engine && refresh(table));
  const forPaper = () => {
    build();
    onPaper(table, true);
  };
  return { forPaper, forScreen: () => table.engine && onPaper(table, false), element };
}

/** Paper has no pages of a table to turn: it gets more rows at once, and says how many are left. */
function onPaper(table, isPaper) {
  const { engine, cut } = table;
  engine.page.len(isPaper ? MOST_ON_PAPER : PAGE).draw();
  const { recordsDisplay } = engine.page.info();
  cut.textContent = recordsDisplay > MOST_ON_PAPER ? `The first ${MOST_ON_PAPER} of ${recordsDisplay.toLocaleString("en")} rows.` : "";
}

function frame(table) {
  const heads = table.seen.map((column) =>
    make("th", { scope: "col", title: column.help ?? null, class: isNumeric(column.kind) ? "number" : null }, column.label),
  );
  table.body = make("table", {}, make("thead", {}, make("tr", {}, make("th", { class: "fold" }, make("span", { class: "unseen" }, "More")), heads)));
  table.frame = make("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": `${table.source.title}, table` }, table.body);
  return table.frame;
}

function start(table) {
  kindsOfOrder();
  const { columns } = table;
  const shown = table.seen.map((column, i) => ({
    data: null,
    type: "mixed",
    visible: !column.hidden,
    className: isNumeric(column.kind) ? "number" : "words",
    render: (row, use) => {
      if (use === "display") return cellElement(column, columns, row);
      return use === "filter" ? cellText(column, columns, row) : sortValue(column, columns, row);
    },
    targets: i + 1,
  }));
  const fold = { data: null, orderable: false, searchable: false, className: "fold", render: (row, use) => (use === "display" ? foldButton(table, row) : ""), targets: 0 };
  const many = countRows(columns) > PAGE;
  table.engine = new window.DataTable(table.body, {
    data: Array.from({ length: countRows(columns) }, (_, row) => row),
    columns: [fold, ...shown],
    autoWidth: false,
    deferRender: true,
    order: [],
    pageLength: PAGE,
    paging: many,
    searching: true,
    rowGroup: { enable: false, dataSrc: () => "", startRender: (rows, group) => groupHead(rows, group) },
    layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: many ? { paging: { firstLast: false } } : null },
    language: { zeroRecords: "The filters leave no rows.", emptyTable: "There are no rows." },
    createdRow: (element, row) => element.setAttribute("data-row", row),
  });
  table.engine.search.fixed("axes", (_, row) => table.matches(row));
  table.engine.on("draw", () => said(table));
  table.body.addEventListener("click", (event) => unfold(table, event));
  table.choice.start();
  refresh(table);
  table.choice.fit();
}

/** Nulls come last in both directions. */
function kindsOfOrder() {
  const order = (sign) => (first, second) => {
    if (first === null || second === null) return (first === null) - (second === null);
    return sign * inOrder(first, second);
  };
  window.DataTable.type("mixed", { order: { pre: (value) => value, asc: order(1), desc: order(-1) } });
}

function refresh(table) {
  table.matches = matching(table.columns, table.page.state);
  table.engine.draw();
}

function said(table) {
  const { recordsDisplay, recordsTotal } = table.engine.page.info();
  table.count.textContent = recordsDisplay === recordsTotal ? `${recordsTotal} rows` : `${recordsDisplay} of ${recordsTotal} rows`;
}

function toolbar(table) {
  const search = make("input", { type: "search", placeholder: "Search", "aria-label": `Search in ${table.source.title}` });
  search.addEventListener("input", () => table.engine.search(search.value).draw());
  table.choice = columnChoice(table);
  const copies = [["Markdown", copyMarkdown], ["LaTeX", copyLatex], ["CSV", copyCsv]].map(([name, text]) =>
    button(name, async () => {
      const copied = await copyText(text(table));
      announce(copied ? `Copied as ${name}` : `Not copied`);
      if (copied) flash(table, `copied as ${name}`);
    }, { "aria-label": `Copy as ${name}` }),
  );
  return make(
    "div",
    { class: "toolbar" },
    countRows(table.columns) > 5 ? search : null,
    grouping(table),
    table.choice.element,
    make("span", { class: "copies" }, make("span", { class: "soft" }, "Copy"), copies),
    table.count,
  );
}

function flash(table, text) {
  table.count.textContent = text;
  setTimeout(() => said(table), 1600);
}

function grouping(table) {
  const groups = table.seen.filter(({ key, kind }) => {
    if (kind !== "text" && kind !== "code" && kind !== "verdict") return false;
    const size = new Set(table.columns[key]).size;
    return size > 1 && size <= MOST_GROUPS && size < countRows(table.columns);
  });
  if (!groups.length) return null;
  const options = [["", "nothing"], ...groups.map(({ key, label }) => [key, label])];
  return choice("Group by", options, "", (key) => group(table, key));
}

function group(table, key) {
  const { engine } = table;
  if (!key) {
    engine.rowGroup().disable();
    engine.order.fixed({});
  } else {
    const place = table.seen.findIndex((column) => column.key === key);
    engine.rowGroup().dataSrc((row) => table.columns[key][row] ?? "–");
    engine.rowGroup().enable();
    engine.order.fixed({ pre: [place + 1, "asc"] });
  }
  engine.draw();
}

function groupHead(rows, group) {
  return make("span", {}, make("b", { dir: "auto" }, String(group)), make("span", { class: "soft" }, ` ${rows.count()}`));
}

function foldButton(table, row) {
  return hasDetails(table, row) ? button("+", () => {}, { class: "fold", "aria-expanded": "false", "aria-label": "Show more of this row" }) : document.createTextNode("");
}

function unfold(table, event) {
  const pressed = event.target.closest("button.fold");
  if (!pressed) return;
  const row = table.engine.row(pressed.closest("tr"));
  const isOpen = row.child.isShown();
  if (isOpen) row.child.hide();
  else row.child(detailsOf(table, row.data()), "details").show();
  pressed.textContent = isOpen ? "+" : "−";
  pressed.setAttribute("aria-expanded", String(!isOpen));
}

/** The rows as they are filtered, searched and sorted now, and the columns as they are chosen. */
function taken(table) {
  const rows = table.engine.rows({ search: "applied", order: "applied" }).data().toArray();
  const shown = table.seen.filter((_, i) => table.engine.column(i + 1).visible());
  return { rows, shown };
}

function copyMarkdown(table) {
  const { rows, shown } = taken(table);
  const { heads, cells } = shownTexts(shown, table.columns, rows);
  return asMarkdown(heads, cells, shown.map(({ kind }) => isNumeric(kind)));
}

function copyLatex(table) {
  const { rows, shown } = taken(table);
  const { heads, cells } = shownTexts(shown, table.columns, rows);
  return asLatex(heads, cells, shown.map(({ kind }) => isNumeric(kind)), table.source.title);
}

function copyCsv(table) {
  const { rows, shown } = taken(table);
  const { heads, cells } = fullValues(shown, table.columns, rows);
  return asCsv(heads, cells);
}
