/** From a row of a table to the answers that its numbers were made of. */

import { writeAddress } from "./address.js";
import { isNone } from "./rows.js";

/** Axes of questions, which are not axes of ways. */
const OF_QUESTIONS = ["task", "sample_type"];

/** @returns {{answersOf: (columns: Object, row: number) => ?string}} the address of the answers of a row, or null */
export function answerLinks(payload, state) {
  const { parts } = payload.answers;
  const axes = payload.axes.map(({ key }) => key).filter((key) => !OF_QUESTIONS.includes(key));
  return {
    answersOf(columns, row) {
      if (!columns.task || !columns.base_model || isNone(columns.base_model[row])) return null;
      const part = parts.find(({ task }) => task === columns.task[row]);
      if (!part) return null;
      const way = Object.fromEntries(["base_model", ...axes].filter((key) => columns[key]).map((key) => [key, columns[key][row]]));
      return writeAddress({ filters: state.filters, view: { at: "answers", task: part.id, way: JSON.stringify(way) } });
    },
  };
}

/** The number of the first model of a part that a row's link describes; −1 if there is none. */
export function describedModel(part, text) {
  let way;
  try {
    way = Object.entries(JSON.parse(text));
  } catch {
    return -1;
  }
  return part.models.findIndex((model) => way.every(([key, value]) => String(model[key] ?? null) === String(value)));
}
