/** Data that came with the page: JSON, compressed with gzip, as base64. */

/** The object that was packed. */
export async function unpacked(base64) {
  const stream = new Blob([bytesOf(base64.trim())]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const arrived = new Map();

/**
 * The answers of one part: from the page itself, or from a file beside it. A file is a script that calls
 * `loragridAnswers(id, base64)`, as browsers read no other files from a page that was opened without a server.
 */
export async function answersOf(part) {
  const inside = document.getElementById(`answers-${part.id}`);
  if (inside) return unpacked(inside.textContent);
  if (!arrived.has(part.id)) await loaded(part.file);
  if (!arrived.has(part.id)) throw new Error(`${part.file} holds no answers of this page`);
  return unpacked(arrived.get(part.id));
}

function loaded(file) {
  window.loragridAnswers = (id, base64) => arrived.set(id, base64);
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = file.split("/").map(encodeURIComponent).join("/");
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${file} cannot be read; it belongs beside this page`));
    document.head.append(script);
  });
}
