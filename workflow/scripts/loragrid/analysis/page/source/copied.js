/** Tables as text to take elsewhere: Markdown, LaTeX (with the rules of booktabs), CSV. */

import { make } from "./dom.js";

const SIGNS = {
  "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "|": "\\textbar{}", "<": "\\textless{}",
  ">": "\\textgreater{}", '"': "''", "–": "--", "−": "$-$", "≈": "$\\approx$", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#",
  "_": "\\_", "{": "\\{", "}": "\\}",
};

/**
 * @param {string[]} heads
 * @param {string[][]} cells
 * @param {boolean[]} numeric which columns are numbers, and stand at the right
 */
export function asMarkdown(heads, cells, numeric) {
  const line = (texts) => `| ${texts.map(inMarkdown).join(" | ")} |`;
  return [line(heads), `| ${numeric.map((is) => (is ? "---:" : "---")).join(" | ")} |`, ...cells.map(line), ""].join("\n");
}

function inMarkdown(text) {
  return oneLine(text).replace(/[\\|`*_[\]<>]/g, "\\$&");
}

/** A table for `\input`; the preamble needs `\usepackage{booktabs}`. */
export function asLatex(heads, cells, numeric, caption) {
  const line = (texts) => `${texts.map(inLatex).join(" & ")} \\\\`;
  return [
    "% In the preamble: \\usepackage{booktabs}",
    "\\begin{table}[t]",
    "\\centering",
    `\\caption{${inLatex(caption)}}`,
    `\\begin{tabular}{${numeric.map((is) => (is ? "r" : "l")).join("")}}`,
    "\\toprule",
    line(heads),
    "\\midrule",
    ...cells.map(line),
    "\\bottomrule",
    "\\end{tabular}",
    "\\end{table}",
    "",
  ].join("\n");
}

/** A text that LaTeX sets as it is. */
export function inLatex(text) {
  return [...oneLine(text)].map((sign) => SIGNS[sign] ?? sign).join("");
}

/** Values in full, as the tables on disk have them. */
export function asCsv(heads, cells) {
  return [heads, ...cells].map((values) => `${values.map(inCsv).join(",")}\n`).join("");
}

function inCsv(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  const text = likeFormula(String(value)) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Whether a spreadsheet could read a text as a formula, as `runtime/spreadsheets.py` says it. */
export function likeFormula(text) {
  const bare = text.replace(/^'+/, "");
  if (/^[\t\r\n]/.test(bare)) return true;
  const seen = bare.replace(/^["'‘’“”\u115f\u1160\u2800\u3164\uffa0\p{Cc}\p{Cf}\p{Mn}\p{Me}\p{Z}]+/u, "");
  return /^[=+\-@]/.test(seen.slice(0, 2).normalize("NFKC"));
}

function oneLine(text) {
  return String(text).split(/\s+/).join(" ").trim();
}

/** Put text into the clipboard; where a page may not, show it, selected. Gives whether it is in the clipboard. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", { rows: 12, readonly: true, "aria-label": "Text to copy" });
    const dialog = make("dialog", { class: "copy" }, make("p", {}, "Copy this text (Ctrl+C):"), area);
    const close = make("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
    dialog.append(close);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    area.value = text;
    dialog.showModal();
    area.select();
    return document.execCommand("copy");
  }
}
