/** Tables by columns, as they come: `{column: [values]}`. A row is its number. */

/** How many rows there are. */
export function countRows(columns) {
  const first = Object.values(columns)[0];
  return first ? first.length : 0;
}

/**
 * Whether a row is shown: by each filtered axis that the table has, its value is among those that were chosen, or it is none of
 * the values to choose from. So base models, which have no config, and baselines stay beside what is filtered.
 * @param {Object<string, string[]>} filters chosen values by axis
 * @param {Object<string, Set<string>>} choices all values by axis
 * @returns {(row: number) => boolean}
 */
export function matching(columns, { filters, choices }) {
  const tests = Object.entries(filters)
    .filter(([axis, chosen]) => chosen.length && columns[axis] && choices[axis])
    .map(([axis, chosen]) => [columns[axis], new Set(chosen), choices[axis]]);
  return (row) => tests.every(([values, chosen, all]) => chosen.has(String(values[row])) || !all.has(String(values[row])));
}

/** The numbers of all rows that are shown. */
export function matchingRows(columns, state) {
  const matches = matching(columns, state);
  return Array.from({ length: countRows(columns) }, (_, row) => row).filter(matches);
}

export function isNone(value) {
  return value === null || value === undefined;
}

/** Rows as objects, as charts want them. */
export function asObjects(columns, rows) {
  const named = Object.entries(columns);
  return rows.map((row) => Object.fromEntries(named.map(([key, values]) => [key, values[row]])));
}

/** For some key columns, the rows that have the same values in them. */
export function groupedRows(columns, keys) {
  const groups = new Map();
  for (let row = 0; row < countRows(columns); row++) {
    const key = keyOf(columns, keys, row);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return groups;
}

export function keyOf(columns, keys, row) {
  return JSON.stringify(keys.map((key) => columns[key]?.[row] ?? null));
}
