/** How a chart looks in the page: with the colours of the theme, and with as many panels abreast as there is room for. */

/** Blues that a dark page would swallow, and what stands for them there; both stay apart. */
const ON_DARK = new Map([
  ["#0072B2", "#4B97E3"],
  ["#56B4E9", "#A8DCFF"],
]);
/** The middle of a scale of cells: those keep their colours, as the text on them is chosen for them. */
const MIDDLE = "#F2F2F2";
/** What axes, labels and gaps take beside a panel, in pixels. */
const BESIDE = 95;
const LEAST_PANEL = 150;
const NARROW = 600;
/** Of names beside an axis, where there is little room. */
const NAMES = 150;

/** The specification with the colours of a dark page. */
export function onDark(spec) {
  if (typeof spec === "string") return ON_DARK.get(spec) ?? spec;
  if (spec === null || typeof spec !== "object") return spec;
  if (Array.isArray(spec)) return spec.includes(MIDDLE) ? spec : spec.map(onDark);
  return Object.fromEntries(Object.entries(spec).map(([key, value]) => [key, onDark(value)]));
}

/**
 * The specification for a place so many pixels wide: fewer panels abreast, at last narrower ones below each other. There legends
 * stand above, in one column, and names beside an axis are cut.
 */
export function fitted(spec, room) {
  if (!spec.columns || !room) return spec;
  const isNarrow = room < NARROW;
  const width = spec.spec.width;
  const beside = isNarrow && hasNames(spec.spec) ? NAMES + 35 : BESIDE;
  // Panels of cells are as wide as their cells are many.
  const fit = typeof width === "number" ? Math.floor(room / (width + beside)) : isNarrow ? 1 : spec.columns;
  const columns = Math.max(1, Math.min(spec.columns, fit));
  if (columns === spec.columns && (typeof width !== "number" || width + beside <= room)) return spec;
  const panel = typeof width === "number" ? Math.min(width, Math.max(LEAST_PANEL, room - beside)) : width;
  const inner = { ...spec, columns, spec: { ...spec.spec, width: panel } };
  return isNarrow ? legendsAbove(limited(inner, 1, NAMES)) : limited(inner, columns, Infinity);
}

/** Whether names stand beside an axis: those say how long they may be. */
function hasNames(spec) {
  if (spec === null || typeof spec !== "object") return false;
  return Boolean(spec.axis?.labelLimit > NAMES) || Object.values(spec).some(hasNames);
}

function legendsAbove(spec) {
  return { ...spec, config: { ...spec.config, legend: { ...spec.config?.legend, orient: "top" } } };
}

/** The specification with legends of at most so many columns, and names beside axes of at most so many pixels. */
function limited(spec, columns, pixels) {
  if (spec === null || typeof spec !== "object") return spec;
  if (Array.isArray(spec)) return spec.map((one) => limited(one, columns, pixels));
  const made = Object.fromEntries(Object.entries(spec).map(([key, value]) => [key, limited(value, columns, pixels)]));
  if (made.legend?.columns > columns) made.legend = { ...made.legend, columns };
  if (made.axis?.labelLimit > pixels) made.axis = { ...made.axis, labelLimit: pixels };
  return made;
}

/**
 * The spec's own settings with the page's colours above them.
 * @param {{ink: string, soft: string, line: string, font: string}} theme
 */
export function withTheme(own, { ink, soft, line, font }) {
  return merged(own ?? {}, {
    background: "transparent",
    font,
    title: { color: ink, subtitleColor: soft },
    header: { labelColor: ink, titleColor: ink },
    legend: { labelColor: ink, titleColor: ink },
    text: { color: ink },
    rule: { color: soft },
    view: { stroke: line },
    axis: { labelColor: soft, titleColor: ink, gridColor: line, domainColor: soft, tickColor: soft },
  });
}

/** Both settings; where both say something, the second. */
function merged(first, second) {
  const both = { ...first };
  for (const [key, value] of Object.entries(second)) {
    const isSection = value && typeof value === "object" && !Array.isArray(value);
    both[key] = isSection && both[key] && typeof both[key] === "object" ? merged(both[key], value) : value;
  }
  return both;
}
