/** The bar of filters: a group of boxes for each axis in which the grid has several values. */

import { announce, button, make, tick } from "./dom.js";

/** @param {Object[]} axes of the payload: key, label, values */
export function mountFilters(place, axes, state) {
  if (!axes.length) {
    place.remove();
    return;
  }
  const groups = axes.map((axis) => axisGroup(axis, state));
  const reset = button("Reset", () => state.change({ filters: {} }), { class: "reset" });
  const count = make("span", { class: "soft count" });
  const bar = make("details", { class: "bar" }, make("summary", {}, "Filters ", count), make("div", { class: "groups" }, groups.map(({ element }) => element), reset));
  bar.open = matchMedia("(min-width: 60rem)").matches;
  place.append(bar);
  const show = () => {
    const filtered = axes.filter(({ key }) => state.filters[key]?.length);
    count.textContent = filtered.length ? `${filtered.length} of ${axes.length} in use` : "";
    reset.hidden = !filtered.length;
    for (const { show: showGroup } of groups) showGroup();
  };
  show();
  state.listen(({ filters }) => filters && show());
  closeOthers(place);
}

function axisGroup({ key, label, values }, state) {
  const texts = values.map(String);
  const chosen = () => new Set(state.filters[key] ?? []);
  const set = (wanted) => {
    // All of them is no filter; so values that come later are not left out of a view that was sent.
    const kept = texts.filter((text) => wanted.has(text));
    state.change({ filters: { ...state.filters, [key]: kept.length === texts.length ? [] : kept } });
    announce(`${label}: ${kept.length || "all"} of ${texts.length}`);
  };
  const boxes = texts.map((text) =>
    tick(text, false, (checked) => {
      const wanted = chosen();
      if (checked) wanted.add(text);
      else wanted.delete(text);
      set(wanted);
    }),
  );
  const said = make("b");
  const all = button("all", () => set(new Set()));
  const list = make("div", { class: "values", role: "group", "aria-label": label }, boxes, all);
  const element = make("details", { class: "axis" }, make("summary", {}, make("span", {}, label), " ", said), list);
  const show = () => {
    const now = chosen();
    boxes.forEach((box, i) => (box.querySelector("input").checked = now.has(texts[i])));
    said.textContent = now.size ? (now.size === 1 ? [...now][0] : `${now.size} of ${texts.length}`) : "all";
    element.classList.toggle("used", now.size > 0);
  };
  return { element, show };
}

/** One group is open at a time; a click elsewhere and Escape close it. */
function closeOthers(place) {
  const open = () => [...place.querySelectorAll("details.axis[open]")];
  document.addEventListener("click", ({ target }) => {
    for (const group of open()) if (!group.contains(target)) group.open = false;
  });
  place.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    for (const group of open()) {
      group.open = false;
      group.querySelector("summary").focus();
    }
  });
}
