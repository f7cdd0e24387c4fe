/** One question with all its answers side by side. */

import { button, make } from "./dom.js";
import { differingParts, nearest } from "./differences.js";
import { valueText } from "./format.js";
import { textElement } from "./texts.js";

/** So many answers are shown at first. */
const CARDS = 12;
/** Characters of an input that are shown at first, so that the answers are near. */
const INPUT = 450;

/**
 * @param {Object} part indexed (answers_order.js)
 * @param {number} q the question's number
 * @param {Object} view metric, first, second, against (`first`, `reference` or empty)
 * @param {number[]} models in the order in which they are shown
 */
export function questionElement(part, q, view, models) {
  const question = part.questions[q];
  const cards = models.filter((m) => part.answerOf(m, q) >= 0);
  const pinned = [view.first, view.second].filter((m) => m >= 0 && part.answerOf(m, q) >= 0);
  const ordered = [...new Set([...pinned, ...cards])];
  const grid = make("div", { class: "cards" });
  const add = (some) => grid.append(...some.map((m) => card(part, q, m, view)));
  add(ordered.slice(0, CARDS));
  const rest = ordered.slice(CARDS);
  const more = rest.length
    ? button(`Show ${rest.length} more answers`, () => {
        add(rest);
        more.remove();
      })
    : null;
  return [
    make("div", { class: "asked" }, facts(question), instruction(question), references(question)),
    make("h3", { class: "label" }, `${ordered.length} answer${ordered.length === 1 ? "" : "s"}`),
    grid,
    more,
  ];
}

function facts({ id, sample_type: type, metadata }) {
  const entries = Object.entries(metadata ?? {}).filter(([, value]) => value !== null && value !== "");
  return make(
    "p",
    { class: "facts soft" },
    make("code", {}, id),
    ` references: ${type}`,
    entries.map(([key, value]) => make("span", { class: "fact" }, `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`)),
  );
}

function instruction({ instruction: told, input }) {
  return [
    told ? make("div", {}, make("h3", { class: "label" }, "Instruction"), textElement(told)) : null,
    input ? make("div", {}, make("h3", { class: "label" }, "Input"), textElement(input, null, INPUT)) : null,
  ];
}

function references({ references: right }) {
  if (!right?.length) return null;
  return make("div", { class: "references" }, make("h3", { class: "label" }, right.length > 1 ? `References (${right.length})` : "Reference"), right.map((text) => textElement(text)));
}

function card(part, q, m, view) {
  const answer = part.answerOf(m, q);
  const role = m === view.first ? "A" : m === view.second ? "B" : "";
  const texts = part.answers.texts[answer];
  const compared = otherText(part, q, m, view, texts[0]);
  const prompt = part.prompts[part.answers.prompt[answer]];
  return make(
    "article",
    { class: `answer ${role ? "pinned" : ""}`, "data-model": part.models[m].id },
    make("h4", {}, role ? make("span", { class: `role role-${role}` }, role) : null, make("span", {}, part.models[m].label)),
    scoresLine(part, answer),
    texts.map((text, i) => [
      texts.length > 1 ? make("p", { class: "soft sample" }, `sample ${i + 1}`) : null,
      textElement(text, i === 0 && compared !== null && text ? differingParts(text, compared) : null),
    ]),
    make("p", { class: "facts soft" }, tokensText(part, answer), part.answers.cut_off[answer] ? make("span", { class: "cut-off" }, "cut off at the limit") : null),
    readElement(part, answer),
    thoughtsElement(part, answer),
    prompt ? make("details", {}, make("summary", {}, "Prompt"), textElement(prompt)) : null,
  );
}

/** What an answer's words are compared with; null for nothing. */
function otherText(part, q, m, { first, second, against }, text) {
  if (against === "reference") return part.questions[q].references?.length ? nearest(text, part.questions[q].references) : null;
  if (against !== "first") return null;
  const other = part.answerOf(m === first ? second : first, q);
  return other < 0 ? null : part.answers.texts[other][0];
}

function tokensText(part, answer) {
  const tokens = part.answers.tokens[answer];
  return tokens === null || tokens === undefined ? "" : `${tokens} tokens`;
}

function scoresLine(part, answer) {
  const shown = part.metrics.map((metric) => {
    const score = part.scores[metric.name][answer];
    const help = metric.lower_is_better ? "lower is better" : null;
    return make("span", { class: metric.main ? "score main" : "score", title: help }, make("span", { class: "soft" }, `${metric.name} `), make("b", {}, valueText(score, "number", 3)));
  });
  return make("p", { class: "scores" }, shown);
}

/** What scorers read in the answer, and which of them failed and why. */
function readElement(part, answer) {
  const failed = entriesOf(part.failures, answer).map(([scorer, why]) => make("p", { class: "failed" }, `${scorer} failed: ${why}`));
  const read = entriesOf(part.read, answer).map(([scorer, said]) => make("div", {}, make("h5", {}, scorer), saidElement(said)));
  return [failed, read.length ? make("details", { class: "read" }, make("summary", {}, "What scorers read"), read) : null];
}

/** What a model wrote before its answer. */
function thoughtsElement(part, answer) {
  const thoughts = (part.answers.thoughts?.[answer] ?? []).filter(Boolean);
  return thoughts.length ? make("details", {}, make("summary", {}, "Thoughts"), thoughts.map((text) => textElement(text))) : null;
}

function entriesOf(byScorer, answer) {
  return Object.entries(byScorer ?? {})
    .map(([scorer, values]) => [scorer, values[answer]])
    .filter(([, value]) => value !== null && value !== undefined);
}

function saidElement(said) {
  if (typeof said !== "object") return textElement(String(said));
  return make("dl", {}, Object.entries(said).map(([key, value]) => make("div", {}, make("dt", {}, key), make("dd", {}, saidValue(value)))));
}

function saidValue(value) {
  if (value === null) return "–";
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.map((one) => textElement(one));
  return textElement(typeof value === "object" ? JSON.stringify(value) : String(value));
}
