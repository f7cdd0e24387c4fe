/** Charts: drawn by Vega-Embed when they come near what is seen, in the colours of the theme, from the rows that the filters leave. */

import { button, make, ownHeading, whenNear } from "./dom.js";
import { fitted, onDark, withTheme } from "./chart_look.js";
import { asCsv } from "./copied.js";
import { asObjects, countRows, matchingRows } from "./rows.js";
import { colour, isDark } from "./theme.js";

const DATA = "rows";
/** More marks than this are drawn as a picture: as elements of SVG they would be slow. */
const MOST_ELEMENTS = 3000;

/**
 * A figure in its place.
 * @param {Object} figure of the payload
 * @param {Object} state of the page (address.js)
 * @returns {{redraw: () => Promise, element: Element}} `redraw` draws it anew, in the colours of now
 */
export function mountFigure(place, figure, state) {
  // One picture with one name: else its thousand marks would be read out one by one. The data are in the tables and in the CSV.
  const plot = make("div", { class: "plot", role: "img", "aria-label": [figure.title, figure.caption].filter(Boolean).join(": ") });
  const scroll = make("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": `${figure.title}, figure` }, plot);
  const none = make("p", { class: "soft", hidden: true }, "The filters leave nothing to draw here.");
  const tools = make("p", { class: "tools" }, "Save as ");
  const element = make(
    "figure",
    { class: "chart" },
    ownHeading(place, figure.title),
    none,
    scroll,
    make("figcaption", {}, figure.caption ?? "", " ", tools),
  );
  place.replaceChildren(element);
  const chart = { figure, state, plot, scroll, none, tools, drawn: null, element };
  for (const format of ["svg", "png"]) tools.append(button(format.toUpperCase(), () => saveImage(chart, format)), " ");
  tools.append(button("CSV", () => saveRows(chart)));
  const redraw = () => {
    chart.isNear = true;
    return draw(chart);
  };
  state.listen(({ filters }) => filters && chart.isNear && refillLater(chart));
  whenNear(scroll, redraw);
  return { redraw, element };
}

function rowsNow({ figure, state }) {
  return asObjects(figure.rows, matchingRows(figure.rows, state));
}

async function draw(chart) {
  const { figure, plot } = chart;
  // Two at once would leave both drawings in the place.
  if (chart.drawing) await chart.drawing;
  chart.drawing = (async () => {
    chart.isStale = false;
    const rows = rowsNow(chart);
    said(chart, rows);
    chart.drawn?.finalize();
    chart.drawn = null;
    // Without rows some charts would have no finite size.
    if (!rows.length) return;
    const spec = drawnSpec(chart, rows);
    // The interpreter of expressions needs no `eval`, which the page forbids.
    const renderer = countRows(figure.rows) > MOST_ELEMENTS ? "canvas" : "svg";
    chart.drawn = await window.vegaEmbed(plot, spec, { ast: true, actions: false, renderer, tooltip: { theme: isDark() ? "dark" : "light" } });
    plot.querySelector("svg, canvas").setAttribute("aria-hidden", "true");
  })();
  await chart.drawing;
  chart.drawing = null;
}

/** Tables show what a filter leaves before charts do, which take longer; a chart out of sight waits until somebody comes near. */
function refillLater(chart) {
  if (chart.isStale) return;
  chart.isStale = true;
  whenNear(chart.element, () => setTimeout(() => chart.isStale && refill(chart)));
}

async function refill(chart) {
  chart.isStale = false;
  const rows = rowsNow(chart);
  said(chart, rows);
  if (!rows.length) return;
  if (!chart.drawn) return void (await draw(chart));
  await chart.drawn.view.data(DATA, rows).runAsync();
}

function said({ scroll, none, tools }, rows) {
  none.hidden = rows.length > 0;
  scroll.hidden = tools.hidden = rows.length === 0;
}

/** The specification as it is drawn now: in the theme's colours, in the room that there is. */
function drawnSpec({ figure, element }, rows) {
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map(colour);
  const theme = { ink, soft, line, font: getComputedStyle(document.body).fontFamily };
  const spec = fitted(isDark() ? onDark(figure.spec) : figure.spec, element.clientWidth);
  return { ...spec, data: { name: DATA, values: rows }, config: withTheme(spec.config, theme) };
}

async function saveImage(chart, format) {
  if (chart.isStale) await refill(chart);
  if (!chart.drawn) await draw(chart);
  // Lent to papers, a figure has a ground of its own.
  const view = chart.drawn.view;
  const ground = view.background();
  await view.background(colour("--ground")).runAsync();
  const address =
    format === "svg"
      ? `data:image/svg+xml;charset=utf-8,${encodeURIComponent(await view.toSVG())}`
      : (await view.toCanvas(2)).toDataURL("image/png");
  await view.background(ground).runAsync();
  save(address, `${chart.figure.id}.${format}`);
}

function saveRows({ figure, state }) {
  const columns = Object.keys(figure.rows);
  const cells = matchingRows(figure.rows, state).map((row) => columns.map((key) => figure.rows[key][row]));
  save(`data:text/csv;charset=utf-8,${encodeURIComponent(asCsv(columns, cells))}`, `${figure.id}.csv`);
}

function save(address, name) {
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
