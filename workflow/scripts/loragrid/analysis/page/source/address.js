/**
 * The view in the address, so that it can be sent: what is filtered, and which answer is looked at.
 * `#f.config=a,b&at=answers&task=t&q=<question>&a=<model>&b=<model>&sort=…&search=…`
 */

const FILTER = "f.";

/**
 * What an address says.
 * @param {string} hash with or without `#`; a bare name is a section.
 * @returns {{filters: Object<string, string[]>, view: Object<string, string>}}
 */
export function readAddress(hash) {
  const text = hash.replace(/^#/, "");
  const address = { filters: {}, view: {} };
  if (text && !text.includes("=")) return { ...address, view: { at: decoded(text) } };
  for (const pair of text.split("&").filter(Boolean)) {
    const [name, value = ""] = pair.split(/=(.*)/s);
    const key = decoded(name);
    if (key.startsWith(FILTER)) address.filters[key.slice(FILTER.length)] = value.split(",").filter(Boolean).map(decoded);
    else address.view[key] = decoded(value);
  }
  return address;
}

/** The address that says this; `""` if there is nothing to say. */
export function writeAddress({ filters, view }) {
  const parts = [];
  for (const [axis, values] of Object.entries(filters)) {
    if (values.length) parts.push(`${encodeURIComponent(FILTER + axis)}=${values.map(encodeURIComponent).join(",")}`);
  }
  for (const [name, value] of Object.entries(view)) {
    if (value !== null && value !== undefined && value !== "") {
      parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    }
  }
  return parts.length ? `#${parts.join("&")}` : "";
}

/** Text without its percent signs; as it is where these mean nothing. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The state of the page: the address, and who wants to know when it changes.
 * @param {Object[]} axes of the payload
 */
export function addressState(axes) {
  const listeners = [];
  const state = {
    ...readAddress(location.hash),
    /** All values of each axis. */
    choices: Object.fromEntries(axes.map(({ key, values }) => [key, new Set(values.map(String))])),
    /** Call `listener(changed)`, with what changed: `filters`, `view` or both. */
    listen: (listener) => listeners.push(listener),
    /**
     * Change filters, the view or both; `null` takes a part of the view away.
     * @param {boolean} replace whether the step back leads to what was before.
     */
    change({ filters, view }, replace = false) {
      if (filters) state.filters = filters;
      if (view) state.view = Object.fromEntries(Object.entries({ ...state.view, ...view }).filter(([, value]) => value !== null));
      const address = writeAddress(state) || location.pathname + location.search;
      history[replace ? "replaceState" : "pushState"](null, "", address);
      for (const listener of listeners) listener({ filters: Boolean(filters), view: Boolean(view) });
    },
  };
  addEventListener("popstate", () => {
    Object.assign(state, readAddress(location.hash));
    for (const listener of listeners) listener({ filters: true, view: true, went: true });
  });
  return state;
}
