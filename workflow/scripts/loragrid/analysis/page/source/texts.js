/** Texts from models and data: as text, in their own direction, with what is not seen made visible, and cut where they are long. */

import { button, make } from "./dom.js";

/** Characters of a text that are shown at first. */
const SHOWN = 1200;

// Controls, marks for the direction of text, spaces without width and halves of characters. Joiners belong to emoji and to scripts.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * An element that shows a text.
 * @param {?{text: string, differs: boolean}[]} parts the same text with its differences (differences.js)
 * @param {number} limit characters that are shown at first
 */
export function textElement(text, parts = null, limit = SHOWN) {
  if (text === "") return make("p", { class: "text soft" }, "(empty)");
  const all = parts ?? [{ text, differs: false }];
  const element = make("div", { class: "text", dir: "auto" });
  if (text.length <= limit * 1.2) {
    element.append(...shown(all));
    return element;
  }
  const place = make("div", {}, element);
  const more = button(`Show all ${text.length.toLocaleString("en")} characters`, () => {
    element.replaceChildren(...shown(all));
    more.remove();
  });
  element.append(...shown(beginning(all, limit)), "…");
  place.append(more);
  return place;
}

function beginning(parts, limit) {
  const kept = [];
  let left = limit;
  for (const part of parts) {
    if (left <= 0) break;
    kept.push({ ...part, text: [...part.text.slice(0, left + 1)].slice(0, left).join("") });
    left -= part.text.length;
  }
  return kept;
}

function shown(parts) {
  return parts.flatMap(({ text, differs }) => (differs ? [make("mark", {}, visible(text))] : visible(text)));
}

/** A text as strings and elements that name what has no ink. */
export function visible(text) {
  const pieces = [];
  let from = 0;
  for (const { 0: sign, index } of text.matchAll(UNSEEN)) {
    pieces.push(text.slice(from, index), make("span", { class: "control", title: "a character that is not seen" }, signName(sign)));
    from = index + sign.length;
  }
  pieces.push(text.slice(from));
  return pieces.filter((piece) => piece !== "");
}

function signName(sign) {
  const code = sign.charCodeAt(0);
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}
