/** The page: reads the payload, fills the places for tables, figures and answers, and goes where the address says. */

import { button, make, whenNear } from "./dom.js";
import { addressState, readAddress } from "./address.js";
import { mountAnswers } from "./answers.js";
import { mountFigure } from "./figures.js";
import { mountFilters } from "./filters.js";
import { answerLinks } from "./links.js";
import { unpacked } from "./packed.js";
import { countRows } from "./rows.js";
import { mountTable } from "./tables.js";
import { asLight, themeButton } from "./theme.js";

async function start() {
  const payload = await unpacked(document.getElementById("payload").textContent);
  const state = addressState(payload.axes);
  const page = { payload, state, links: answerLinks(payload, state) };
  mountFilters(document.getElementById("filters"), payload.axes, state);
  const tables = mountTables(page);
  const figures = mountFigures(page);
  const answers = mountAnswerBrowser(page);
  withoutEmptySections();
  mountActions(tables, figures);
  const go = () => goTo(state, answers);
  listenToLinks(state, go);
  state.listen(({ went }) => went && go());
  markContents();
  go();
  document.documentElement.dataset.ready = "";
}

function mountTables(page) {
  const mounted = [];
  for (const place of document.querySelectorAll("[data-table]")) {
    const table = page.payload.tables[place.dataset.table];
    if (table && countRows(table.rows)) mounted.push(mountTable(place, place.dataset.table, page));
    else place.remove();
  }
  return mounted;
}

function mountFigures({ payload, state }) {
  const figures = new Map(payload.figures.map((figure) => [figure.id, figure]));
  const mounted = [];
  for (const place of document.querySelectorAll("[data-figure]")) {
    const figure = figures.get(place.dataset.figure);
    if (figure && countRows(figure.rows)) mounted.push(mountFigure(place, figure, state));
    else place.remove();
  }
  return mounted;
}

function mountAnswerBrowser(page) {
  const section = document.getElementById("answers");
  if (!section) return null;
  let place = section.querySelector("[data-answers]");
  if (!place) {
    place = make("div", { "data-answers": "" });
    section.append(place);
  }
  const answers = mountAnswers(place, page);
  // Answers are unpacked when somebody comes near them.
  whenNear(section, answers.open, "200px");
  return answers;
}

/** A section in which nothing is left but its heading goes, and its line in the contents too. */
function withoutEmptySections() {
  for (const section of document.querySelectorAll("main > section")) {
    const left = [...section.children].filter((child) => child.tagName !== "H2" && child.textContent.trim() !== "");
    if (left.length) continue;
    document.querySelector(`nav.contents a[href="#${section.id}"]`)?.closest("li").remove();
    section.remove();
  }
}

function mountActions(tables, figures) {
  const redraw = () => figures.forEach((figure) => figure.element.querySelector(".vega-embed") && figure.redraw());
  const print = button("Print", async () => {
    // Charts are drawn for white paper; a page that is printed by the browser's own command has no time for that.
    const restore = await asLight(() => Promise.all(figures.map((figure) => figure.redraw())));
    window.print();
    await restore();
  });
  addEventListener("beforeprint", () => tables.forEach((table) => table.forPaper()));
  addEventListener("afterprint", () => tables.forEach((table) => table.forScreen()));
  document.getElementById("actions").append(themeButton(redraw), print);
}

/** Go to the section that the address names. */
function goTo({ view }, answers) {
  const target = view.at ? document.getElementById(view.at) : null;
  if (!target) return;
  if (view.at === "answers") answers?.open();
  target.closest("details")?.setAttribute("open", "");
  // What is above may still grow; the place is held until it has its height.
  const scroll = () => target.scrollIntoView();
  scroll();
  setTimeout(scroll, 300);
}

/** Links inside of the page keep what is filtered, unless they say something else. */
function listenToLinks(state, go) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const { filters, view } = readAddress(link.getAttribute("href"));
    const before = state.view.at;
    state.change(Object.keys(filters).length ? { filters, view } : { view });
    if (!(view.q && before === "answers" && link.closest(".browser"))) go();
    if (link.classList.contains("skip") || link.closest("nav.contents")) {
      document.querySelector(`#heading-${CSS.escape(view.at)}, #${CSS.escape(view.at)}[tabindex]`)?.focus({ preventScroll: true });
    }
  });
}

/** The contents show which section is read. */
function markContents() {
  const links = new Map([...document.querySelectorAll("nav.contents a")].map((link) => [link.getAttribute("href").slice(1), link]));
  const seen = new Set();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target.id);
      const first = [...links.keys()].find((id) => seen.has(id));
      for (const [id, link] of links) {
        if (id === first) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    },
    { rootMargin: "-20% 0px -60% 0px" },
  );
  document.querySelectorAll("main > section").forEach((section) => observer.observe(section));
  // On a phone the contents would fill the first screen.
  document.getElementById("contents").open = matchMedia("(min-width: 75rem)").matches;
}

start().catch((error) => {
  const place = document.getElementById("trouble");
  const known = typeof DecompressionStream === "undefined" ? "This browser is too old for this page: it cannot decompress data." : `The page cannot be shown whole: ${error.message}`;
  place.textContent = known;
  place.hidden = false;
  console.error(error);
});
