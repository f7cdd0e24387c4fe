/** Elements. Text from models and data becomes text nodes and nothing else: no string is ever read as HTML. */

/**
 * A new element.
 * @param {string} tag
 * @param {Object} attributes `on` holds listeners by event; true and false stand for attributes that are there or not.
 * @param {...(Node|string|null)} children null is left out.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A button that is no part of a form. */
export function button(text, listener, attributes = {}) {
  return make("button", { type: "button", ...attributes, on: { click: listener } }, text);
}

/** A choice with a visible label. `options` are pairs of value and text. */
export function choice(label, options, chosen, listener) {
  const select = make("select", { "aria-label": label, on: { change: () => listener(select.value) } });
  for (const [value, text] of options) select.append(make("option", { value, selected: value === chosen }, text));
  return make("label", { class: "choice" }, make("span", {}, label), select);
}

/** A box to tick with its label. */
export function tick(text, checked, listener) {
  const box = make("input", { type: "checkbox", checked, on: { change: () => listener(box.checked) } });
  return make("label", { class: "tick" }, box, make("span", {}, text));
}

/** Call a function once it has not been asked for some milliseconds. */
export function calmed(wait, called) {
  let waiting;
  return (...given) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => called(...given), wait);
  };
}

/** Call a function once, when an element comes near what is seen. */
export function whenNear(element, called, margin = "500px") {
  const observer = new IntersectionObserver(
    (entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        observer.disconnect();
        called();
      }
    },
    { rootMargin: margin },
  );
  observer.observe(element);
}

/** A title below its section's heading; none where both say the same. */
export function ownHeading(place, title) {
  const above = place.closest("section")?.querySelector("h2")?.textContent.trim();
  return title && title !== above ? make("h3", {}, title) : null;
}

/** Say something to those who do not see the page change. */
export function announce(text) {
  let place = document.getElementById("said");
  if (!place) {
    place = make("p", { id: "said", class: "unseen", role: "status" });
    document.body.append(place);
  }
  place.textContent = text;
}
