/** Light or dark: as the system says, until the reader chooses. */

import { button } from "./dom.js";

const KEPT = "loragrid-theme";
const NAMES = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };
const system = matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  return (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
}

/** A colour of the theme, as the styles name it. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** The button that goes through the themes; `changed` is called when the colours change. */
export function themeButton(changed) {
  const themes = Object.keys(NAMES);
  const choose = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    element.textContent = NAMES[theme];
  };
  const element = button("", () => {
    const theme = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "") + 1) % themes.length];
    choose(theme);
    keep(theme);
    changed();
  });
  choose(themes.includes(kept()) ? kept() : "");
  system.addEventListener("change", changed);
  return element;
}

/** Draw in light colours for a while; what comes back draws in those of before. */
export async function asLight(draw) {
  const { dataset } = document.documentElement;
  const before = dataset.theme;
  const wasDark = isDark();
  dataset.theme = "light";
  await draw();
  return async () => {
    if (before) dataset.theme = before;
    else delete dataset.theme;
    if (wasDark) await draw();
  };
}

/** Storage may be switched off; then a choice lasts as long as the page. */
function keep(theme) {
  try {
    localStorage.setItem(KEPT, theme);
  } catch {}
}

function kept() {
  try {
    return localStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}
