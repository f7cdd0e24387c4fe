/** Which questions of a part the answer browser shows, and in which order. No elements here. */

import { matching } from "./rows.js";

export const ORDERS = [
  ["", "as in the data"],
  ["worse", "B against A: largest loss first"],
  ["better", "B against A: largest gain first"],
  ["disagreement", "scorers disagree most"],
  ["longest", "longest answer of B"],
  ["shortest", "shortest answer of B"],
];

/**
 * A part with its answers found by model and question.
 * @param {Object} part as it came (see the docs of the page)
 */
export function indexedPart(part) {
  const { model, question } = part.answers;
  const width = part.questions.length;
  const places = new Int32Array(part.models.length * width).fill(-1);
  for (let i = 0; i < model.length; i++) places[model[i] * width + question[i]] = i;
  const ids = new Map(part.models.map(({ id }, i) => [id, i]));
  const questions = new Map(part.questions.map(({ id, sample_type: type }, i) => [questionKey(id, type), i]));
  return { ...part, modelOf: ids, questionOf: questions, answerOf: (m, q) => (m < 0 ? -1 : places[m * width + q]) };
}

/** One question may have references of several sample types; then its id alone does not name it. */
export function questionKey(id, sampleType) {
  return `${id}~${sampleType}`;
}

/** The numbers of the models that the filters leave. */
export function shownModels(part, state) {
  const columns = {};
  // The task and the sample type are those of the questions.
  for (const axis of Object.keys(state.filters)) {
    if (axis !== "task" && axis !== "sample_type") columns[axis] = part.models.map((model) => model[axis]);
  }
  const matches = matching(columns, state);
  return part.models.map((_, i) => i).filter(matches);
}

/** By how much B is better than A in a metric; null where one of them has no value. */
export function gain(part, metric, first, second, question) {
  const scores = part.scores[metric.name];
  const [own, other] = [second, first].map((model) => scores[part.answerOf(model, question)] ?? null);
  return own === null || other === null ? null : (metric.lower_is_better ? -1 : 1) * (own - other);
}

/**
 * The questions to show.
 * @param {Object} view metric, first and second model (A and B), order, search, whether only those where B is worse
 * @param {number[]} models that are shown
 * @param {Object} filters of the page; the sample type filters questions
 */
export function chosenQuestions(part, { metric, first, second, order, search, onlyWorse }, models, filters) {
  const types = new Set(filters.sample_type ?? []);
  const wanted = search ? search.toLowerCase() : "";
  let chosen = part.questions.map((_, i) => i);
  if (types.size) chosen = chosen.filter((q) => types.has(String(part.questions[q].sample_type)));
  chosen = chosen.filter((q) => models.some((m) => part.answerOf(m, q) >= 0));
  if (onlyWorse) chosen = chosen.filter((q) => (gain(part, metric, first, second, q) ?? 0) < 0);
  if (wanted) chosen = chosen.filter((q) => holds(part, q, models, wanted));
  const value = valueToOrderBy(part, { metric, first, second, order }, models);
  if (!value) return chosen;
  const values = new Map(chosen.map((q) => [q, value(q)]));
  // Questions without a value come last; those with the same stay as in the data.
  return chosen.sort((a, b) => {
    const [one, other] = [values.get(a), values.get(b)];
    if (one === null || other === null) return (one === null) - (other === null);
    return one - other;
  });
}

function valueToOrderBy(part, { metric, first, second, order }, models) {
  const length = (q) => {
    const answer = part.answerOf(second, q);
    return answer < 0 ? null : part.answers.texts[answer].join("").length;
  };
  const negative = (of) => (q) => {
    const value = of(q);
    return value === null ? null : -value;
  };
  const gained = (q) => gain(part, metric, first, second, q);
  switch (order) {
    case "worse":
      return gained;
    case "better":
      return negative(gained);
    case "disagreement":
      return negative(disagreement(part, models));
    case "longest":
      return negative(length);
    case "shortest":
      return length;
    default:
      return null;
  }
}

/**
 * How far scorers disagree on a question: of each shown answer, the distance between its best and its worst score, where scores are
 * counted in standard deviations of their metric; and of these the mean. Null with fewer than two metrics.
 */
export function disagreement(part, models) {
  const scales = part.metrics.map((metric) => standardised(part.scores[metric.name], metric.lower_is_better)).filter(Boolean);
  return (q) => {
    let sum = 0;
    let count = 0;
    for (const m of models) {
      const answer = part.answerOf(m, q);
      if (answer < 0) continue;
      const values = scales.map((scale) => scale[answer]).filter((value) => !Number.isNaN(value));
      if (values.length < 2) continue;
      sum += Math.max(...values) - Math.min(...values);
      count++;
    }
    return count ? sum / count : null;
  };
}

function standardised(scores, isLowerBetter) {
  const there = scores.filter((score) => score !== null);
  const mean = there.reduce((sum, score) => sum + score, 0) / there.length;
  const deviation = Math.sqrt(there.reduce((sum, score) => sum + (score - mean) ** 2, 0) / there.length);
  if (!(deviation > 0)) return null;
  const sign = isLowerBetter ? -1 : 1;
  return Float64Array.from(scores, (score) => (score === null ? NaN : (sign * (score - mean)) / deviation));
}

function holds(part, q, models, wanted) {
  const { id, instruction, input, references } = part.questions[q];
  if ([id, instruction, input, ...references].some((text) => text && text.toLowerCase().includes(wanted))) return true;
  return models.some((m) => {
    const answer = part.answerOf(m, q);
    return answer >= 0 && part.answers.texts[answer].some((text) => text.toLowerCase().includes(wanted));
  });
}

/**
 * The two ways to begin with: a base model, and the model that is best in the main metric on the same base.
 * @returns {[number, number]} −1 where there is none
 */
export function usualPair(part, models, metric) {
  const isTrained = (m) => (part.models[m].nb_samples ?? part.models[m].config ?? null) !== null;
  const isBaseline = (m) => part.models[m].base_model === "baseline";
  const first = models.find((m) => !isTrained(m) && !isBaseline(m)) ?? models[0] ?? -1;
  const means = meansOf(part, metric);
  const sign = metric?.lower_is_better ? -1 : 1;
  const others = models.filter((m) => m !== first && means[m] !== null);
  const related = others.filter((m) => isTrained(m) && part.models[m].base_model === part.models[first].base_model);
  const candidates = related.length ? related : others;
  const second = candidates.reduce((best, m) => (best < 0 || sign * means[m] > sign * means[best] ? m : best), -1);
  return [first, second];
}

function meansOf(part, metric) {
  const sums = part.models.map(() => [0, 0]);
  const scores = metric ? part.scores[metric.name] : [];
  scores.forEach((score, i) => {
    if (score === null) return;
    const sum = sums[part.answers.model[i]];
    sum[0] += score;
    sum[1]++;
  });
  return sums.map(([sum, count]) => (count ? sum / count : null));
}
