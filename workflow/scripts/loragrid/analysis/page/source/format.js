/** Values as a reader sees them. The same value is written in the same way everywhere: on screen and in what is copied. */

const NONE = "–";
const MINUS = "−";
const TEXTS = ["text", "code", "verdict"];
const VERDICTS = ["better", "equivalent", "undecided", "worse"];
const MARKS = { better: "▲", worse: "▼", equivalent: "=", undecided: "·" };

export function isNumeric(kind) {
  return !TEXTS.includes(kind);
}

/** A verdict's place in an order, the best first. */
export function verdictRank(verdict) {
  const rank = VERDICTS.indexOf(verdict);
  return rank < 0 ? VERDICTS.length : rank;
}

export function verdictMark(verdict) {
  return MARKS[verdict] ?? "";
}

/** Making one takes longer than all that it writes in a table. */
const writers = new Map();

/** A number with a fixed count of decimals, thousands apart. */
export function decimal(value, digits) {
  if (!writers.has(digits)) writers.set(digits, new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const text = writers.get(digits).format(Math.abs(value));
  return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
}

/** The text of a value of some kind. */
export function valueText(value, kind, digits) {
  if (value === null || value === undefined || value === "") return NONE;
  if (typeof value !== "number") return String(value);
  switch (kind) {
    case "integer":
      return decimal(value, 0);
    case "signed":
      return signed(value, digits ?? 3);
    case "percent":
      return `${decimal(100 * value, digits ?? 0)} %`;
    case "seconds":
      return duration(value, digits);
    case "bytes":
      return size(value);
    case "text":
    case "code":
      return String(value);
    default:
      return decimal(value, digits ?? 3);
  }
}

export function signed(value, digits) {
  const text = decimal(value, digits);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

/** How a column's values are written: an estimate with a verdict is a difference, which has a sign. */
export function shownKind({ kind, verdict }) {
  return kind === "estimate" && verdict ? "signed" : kind;
}

/** The text of a cell: of an estimate, its interval too. */
export function cellText(column, columns, row) {
  const text = valueText(columns[column.key]?.[row], shownKind(column), column.digits);
  const interval = intervalText(column, columns, row);
  return interval ? `${text} ${interval}` : text;
}

/** The interval of an estimate, as `[low, high]`; empty if there is none. */
export function intervalText(column, columns, row) {
  if (!column.low || !column.high) return "";
  const ends = [column.low, column.high].map((key) => columns[key]?.[row]);
  if (ends.every((end) => end === null || end === undefined)) return "";
  return `[${ends.map((end) => valueText(end, "number", column.digits)).join(", ")}]`;
}

function duration(value, digits) {
  const seconds = Math.abs(value);
  if (seconds < 100) return `${decimal(value, digits ?? (seconds < 1 ? 3 : 1))} s`;
  if (seconds < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${decimal(value / 3600, 1)} h`;
}

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes > 0 ? Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1) : 0;
  const value = bytes / 1024 ** power;
  return `${decimal(value, power && value < 10 ? 1 : 0)} ${units[power]}`;
}
