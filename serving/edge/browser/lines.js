// Lines of a stream of bytes: `{…}` is an event of the spine, `SOURCE<TAB>{…}` one of any source; a blank line is none.

const NEWLINE = 10;
const LONGEST = 1_048_576; // bytes of a line: of a longer one, which Kafka would not take either, only so many are ever in memory
const TOO_LONG = new TextEncoder().encode("…");
const NO_TEXT = "\udcff"; // stands for what is no UTF-8: it is refused as it is read

/** Each line's source and event, as soon as it is there. */
export async function* lines(stream, spine) {
  for await (const bytes of split(stream)) {
    const text = decoded(bytes).trim();
    if (!text) continue;
    const tab = text.indexOf("\t");
    yield tab > 0 && !text.startsWith("{") ? [text.slice(0, tab), text.slice(tab + 1)] : [spine, text];
  }
}

/** The lines; of one longer than `LONGEST` the beginning, which is no JSON. */
async function* split(stream) {
  const reader = stream.getReader();
  let rest = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    let from = 0;
    for (let end = value.indexOf(NEWLINE); end >= 0; end = value.indexOf(NEWLINE, from)) {
      yield bounded(joined(rest, value.subarray(from, end)));
      [rest, from] = [new Uint8Array(), end + 1];
    }
    if (rest.length <= LONGEST) rest = joined(rest, value.subarray(from));
  }
  if (rest.length) yield bounded(rest);
}

function bounded(line) {
  return line.length <= LONGEST ? line : joined(line.subarray(0, LONGEST), TOO_LONG);
}

function joined(one, other) {
  if (!one.length) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return NO_TEXT;
  }
}
