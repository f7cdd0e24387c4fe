/** The answer browser: which question, which ways, in which order; moved through by keys; each answer with an address of its own. */

import { announce, button, calmed, choice, make, tick } from "./dom.js";
import { ORDERS, chosenQuestions, gain, indexedPart, questionKey, shownModels, usualPair } from "./answers_order.js";
import { questionElement } from "./answer_cards.js";
import { writeAddress } from "./address.js";
import { signed, size } from "./format.js";
import { describedModel } from "./links.js";
import { answersOf } from "./packed.js";

/** So many questions are listed around the one that is looked at. */
const LISTED = 200;

/** @param {Object} page `payload`, `state` */
export function mountAnswers(place, page) {
  const { parts } = page.payload.answers;
  const browser = { page, place, part: null, shown: [], current: -1 };
  browser.body = make("div", { class: "browser" });
  place.replaceChildren(browser.body);
  page.state.listen(() => browser.part !== null && show(browser));
  listenToKeys(browser);
  const open = () => {
    if (browser.opened) return;
    browser.opened = true;
    show(browser);
  };
  if (!parts.length) return { open: () => {} };
  return { open };
}

/** The part that the address names, or the first that the filters leave. */
function wantedPart({ page: { payload, state } }) {
  const tasks = new Set(state.filters.task ?? []);
  const parts = payload.answers.parts.filter(({ task }) => !tasks.size || tasks.has(task));
  const { task } = state.view;
  return payload.answers.parts.find((part) => part.id === task || part.task === task) ?? parts[0] ?? payload.answers.parts[0];
}

async function show(browser) {
  const wanted = wantedPart(browser);
  if (browser.part?.id !== wanted.id) {
    browser.part = { id: wanted.id, data: null };
    browser.body.replaceChildren(make("p", { class: "soft", role: "status" }, `Reading ${wanted.answers.toLocaleString("en")} answers (${size(wanted.bytes)}) …`));
    try {
      const data = indexedPart(await answersOf(wanted));
      if (browser.part.id !== wanted.id) return;
      browser.part.data = data;
    } catch (error) {
      browser.body.replaceChildren(make("p", { class: "warning", role: "alert" }, `The answers of ${wanted.task} cannot be shown: ${error.message}.`));
      return;
    }
    build(browser, wanted);
  }
  if (browser.part.data) update(browser);
}

/** The view as numbers of models and questions. */
function viewOf(browser, models) {
  const { view } = browser.page.state;
  const { data } = browser.part;
  const metric = data.metrics.find(({ name }) => name === view.metric) ?? data.metrics.find(({ main }) => main) ?? data.metrics[0];
  const [first, second] = chosenPair(data, view, usualPair(data, models, metric));
  return { metric, first, second, order: view.sort ?? "", search: view.search ?? "", onlyWorse: view.only === "worse", against: view.marks ?? "first" };
}

/** A and B: as the address names them, or as a row of a table describes B. */
function chosenPair(data, view, usual) {
  const described = view.way ? describedModel(data, view.way) : -1;
  const first = data.modelOf.get(view.a) ?? usual[0];
  if (data.modelOf.has(view.b) || described < 0) return [first, data.modelOf.get(view.b) ?? usual[1]];
  return described === first ? [first, usual[1]] : [first, described];
}

/** The controls of a part, and places for its questions. */
function build(browser, wanted) {
  const { data } = browser.part;
  const { payload, state } = browser.page;
  const change = (view) => state.change({ view: { at: "answers", task: wanted.id, ...view } });
  const models = data.models.map(({ id, label }) => [id, label]);
  const search = make("input", { type: "search", placeholder: "Search questions and answers", "aria-label": "Search questions and answers" });
  search.value = state.view.search ?? "";
  const searched = calmed(200, () => state.change({ view: { at: "answers", task: wanted.id, search: search.value || null, q: null } }, true));
  search.addEventListener("input", searched);
  const worse = tick("only where B is worse than A", false, (checked) => change({ only: checked ? "worse" : null, q: null }));
  const marks = [["first", "A (A: from B)"], ["reference", "the nearest reference"], ["none", "nothing"]];
  browser.controls = {
    task: choice("Task", payload.answers.parts.map(({ id, task }) => [id, task]), wanted.id, (task) => change({ task, q: null, a: null, b: null, way: null, metric: null })),
    a: choice("A", models, "", (a) => change({ a })),
    b: choice("B", models, "", (b) => change({ b, way: null })),
    metric: choice("Metric", data.metrics.map(({ name }) => [name, name]), "", (metric) => change({ metric })),
    sort: choice("Sort", ORDERS, "", (sort) => change({ sort: sort || null, q: null })),
    marks: choice("Mark words that differ from", marks, "", (marks) => change({ marks: marks === "first" ? null : marks })),
  };
  browser.worse = worse.querySelector("input");
  browser.search = search;
  browser.list = make("ol", { class: "questions" });
  browser.detail = make("div", { class: "detail" });
  browser.position = make("span", { class: "position" });
  browser.link = make("a", { href: "#" }, "Link to this answer");
  const step = make(
    "div",
    { class: "step" },
    button("← Previous", () => move(browser, -1), { "aria-keyshortcuts": "k ArrowLeft" }),
    browser.position,
    button("Next →", () => move(browser, 1), { "aria-keyshortcuts": "j ArrowRight" }),
    browser.link,
    make("span", { class: "soft keys" }, "keys: j and k, or arrows"),
  );
  const { task, ...others } = browser.controls;
  const several = payload.answers.parts.length > 1;
  browser.body.replaceChildren(
    make("div", { class: "controls" }, several ? task : null, Object.values(others), search, worse),
    make("div", { class: "halves" }, make("nav", { "aria-label": "Questions" }, browser.list), make("div", { class: "looked-at" }, step, browser.detail)),
  );
}

function update(browser) {
  const { data } = browser.part;
  const { filters, view } = browser.page.state;
  const models = shownModels(data, browser.page.state);
  const now = viewOf(browser, models);
  browser.now = { ...now, models };
  browser.shown = chosenQuestions(data, now, models, filters);
  browser.current = Math.max(0, placeOf(browser, view.q));
  const { controls } = browser;
  const ids = [now.first, now.second].map((m) => data.models[m]?.id ?? "");
  const values = { task: browser.part.id, a: ids[0], b: ids[1], metric: now.metric?.name, sort: now.order, marks: now.against };
  for (const [name, value] of Object.entries(values)) controls[name].querySelector("select").value = value;
  browser.worse.checked = now.onlyWorse;
  if (document.activeElement !== browser.search) browser.search.value = now.search;
  list(browser);
  detail(browser);
}

/** Where a question that the address names stands among those shown; `id` or `id~sample type`. */
function placeOf(browser, wanted) {
  if (!wanted) return 0;
  const { data } = browser.part;
  return browser.shown.findIndex((q) => nameOf(data, q) === wanted || data.questions[q].id === wanted);
}

function nameOf(data, q) {
  const { id, sample_type: type } = data.questions[q];
  return questionKey(id, type);
}

function addressOf(browser, q) {
  const { state } = browser.page;
  const { now, part } = browser;
  const [a, b] = [now.first, now.second].map((m) => part.data.models[m]?.id ?? null);
  return writeAddress({ filters: state.filters, view: { ...state.view, at: "answers", task: part.id, q: nameOf(part.data, q), a, b, way: null } });
}

function list(browser) {
  const { now, part, shown, current } = browser;
  const from = Math.max(0, Math.min(current - LISTED / 2, shown.length - LISTED));
  const items = shown.slice(from, from + LISTED).map((q, i) => {
    const question = part.data.questions[q];
    const gained = now.metric ? gain(part.data, now.metric, now.first, now.second, q) : null;
    const text = (question.input || question.instruction || question.id).slice(0, 90);
    const link = make(
      "a",
      { href: addressOf(browser, q), "aria-current": from + i === current ? "true" : null },
      make("span", { class: "begin", dir: "auto" }, text),
      gained === null ? null : make("span", { class: "gain", title: `B minus A in ${now.metric.name}` }, signed(gained, 3)),
    );
    return make("li", { value: from + i + 1 }, link);
  });
  browser.list.replaceChildren(...items);
  const chosen = browser.list.querySelector("[aria-current]");
  // Only the list is scrolled, never the page.
  if (chosen) browser.list.scrollTop = chosen.offsetTop - browser.list.offsetTop - browser.list.clientHeight / 3;
}

function detail(browser) {
  const { now, part, shown, current } = browser;
  if (!shown.length) {
    browser.position.textContent = "no question";
    browser.link.hidden = true;
    browser.detail.replaceChildren(make("p", { class: "soft" }, "No question is left by the filters, the search and “only where B is worse”."));
    return;
  }
  const q = shown[current];
  browser.position.textContent = `${current + 1} of ${shown.length}`;
  browser.link.hidden = false;
  browser.link.setAttribute("href", addressOf(browser, q));
  browser.detail.replaceChildren(...questionElement(part.data, q, now, now.models).filter(Boolean));
}

function move(browser, by) {
  const { shown, current, part, page } = browser;
  const next = current + by;
  if (next < 0 || next >= shown.length) return;
  page.state.change({ view: { at: "answers", task: part.id, q: nameOf(part.data, shown[next]) } }, true);
  announce(`Question ${next + 1} of ${shown.length}`);
}

const STEPS = { j: 1, ArrowRight: 1, k: -1, ArrowLeft: -1 };

/** Keys move while the browser is seen, and nothing has the focus that takes keys itself. */
function listenToKeys(browser) {
  document.addEventListener("keydown", (event) => {
    const by = STEPS[event.key];
    if (!by || !browser.part?.data || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea, dialog, .scroll")) return;
    const { top, bottom } = browser.body.getBoundingClientRect();
    if (bottom < 0 || top > innerHeight) return;
    event.preventDefault();
    move(browser, by);
  });
}
