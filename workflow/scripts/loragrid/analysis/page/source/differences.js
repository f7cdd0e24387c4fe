/** Which words of a text another text does not have in the same order: the longest common subsequence, in bounded time. */

// Words, numbers, runs of white space, and single signs; letters of scripts without spaces stand for themselves.
const PIECES = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]|(?:(?![\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}])[\p{L}\p{M}\p{N}'’])+|\s+|[^]/gu;

/** More comparisons of two words than this would be felt; then only words are marked that the other text does not have at all. */
const MOST_COMPARISONS = 1_000_000;

export function piecesOf(text) {
  return text.match(PIECES) ?? [];
}

/**
 * A text in parts, each with whether it differs.
 * @returns {{text: string, differs: boolean}[]} that together are the text
 */
export function differingParts(text, other) {
  const pieces = piecesOf(text);
  const places = pieces.flatMap((piece, i) => (/^\s/.test(piece) ? [] : [i]));
  const common = commonWords(places.map((i) => pieces[i]), piecesOf(other).filter((piece) => !/^\s/.test(piece)));
  const differs = new Array(pieces.length).fill(null);
  places.forEach((place, i) => (differs[place] = !common[i]));
  // White space between two words that differ belongs to them.
  for (let i = 0; i < differs.length; i++) {
    if (differs[i] === null) differs[i] = Boolean(differs[i - 1] && differs[i + 1]);
  }
  return joined(pieces, differs);
}

function joined(pieces, differs) {
  const parts = [];
  pieces.forEach((piece, i) => {
    const last = parts.at(-1);
    if (last && last.differs === differs[i]) last.text += piece;
    else parts.push({ text: piece, differs: differs[i] });
  });
  return parts;
}

/** For each word of the first, whether it is one of those that both have in the same order. */
export function commonWords(first, second) {
  let start = 0;
  while (start < first.length && start < second.length && first[start] === second[start]) start++;
  let end = 0;
  while (end < first.length - start && end < second.length - start && first.at(-1 - end) === second.at(-1 - end)) end++;
  const inner = first.slice(start, first.length - end);
  const otherInner = second.slice(start, second.length - end);
  const within = inner.length * otherInner.length <= MOST_COMPARISONS ? longestCommon(inner, otherInner) : sharedWords(inner, otherInner);
  return [...new Array(start).fill(true), ...within, ...new Array(end).fill(true)];
}

function longestCommon(first, second) {
  const width = second.length + 1;
  const lengths = new Uint16Array((first.length + 1) * width);
  for (let i = first.length - 1; i >= 0; i--) {
    for (let j = second.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        first[i] === second[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const common = new Array(first.length).fill(false);
  for (let i = 0, j = 0; i < first.length && j < second.length; ) {
    if (first[i] === second[j]) {
      common[i++] = true;
      j++;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
    else j++;
  }
  return common;
}

/** Without heed of the order: each word as often as the other text has it. */
function sharedWords(first, second) {
  const left = counted(second);
  return first.map((word) => {
    const number = left.get(word) ?? 0;
    if (number) left.set(word, number - 1);
    return number > 0;
  });
}

function counted(words) {
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/** Of several references, the one that shares most words with a text. */
export function nearest(text, references) {
  const words = piecesOf(text).filter((piece) => !/^\s/.test(piece));
  const shares = references.map((reference) => {
    const others = piecesOf(reference).filter((piece) => !/^\s/.test(piece));
    const shared = sharedWords(words, others).filter(Boolean).length;
    return (2 * shared) / (words.length + others.length || 1);
  });
  return references[shares.indexOf(Math.max(...shares))] ?? "";
}
