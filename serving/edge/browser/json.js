// JSON whose numbers lose no digit: they are read as they are written. Objects are Maps.

/** A number as it is written. */
export class Written {
  constructor(text) {
    this.text = text;
  }
}

/** NaN, Infinity or -Infinity, which JSON does not have and some writers write. */
export class NotFinite {
  constructor(text) {
    this.text = text;
  }
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const WORDS = [["null", null], ["true", true], ["false", false]];
const NOT_FINITE = ["NaN", "Infinity", "-Infinity"];
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const DEEPEST = 900; // levels; Python's reader ends near 1,000

/** The value in a text. Throws `SyntaxError`. `notes` gets the `NotFinite` there are, and whether a text has half of a pair. */
export function parse(text, notes = { notFinite: [], halves: false }) {
  return new Reader(text, notes).whole();
}

class Reader {
  constructor(text, notes) {
    this.text = text;
    this.at = 0;
    this.notes = notes;
  }

  whole() {
    const found = this.value(0);
    this.space();
    if (this.at < this.text.length) this.fail("the end");
    return found;
  }

  fail(what) {
    throw new SyntaxError(`expected ${what} at character ${this.at}`);
  }

  space() {
    SPACE.lastIndex = this.at;
    SPACE.test(this.text);
    this.at = SPACE.lastIndex;
  }

  /** Whether this comes next; then it is read. */
  next(word) {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  value(depth) {
    if (depth > DEEPEST) this.fail("fewer levels");
    this.space();
    if (this.next("{")) return this.object(depth + 1);
    if (this.next("[")) return this.array(depth + 1);
    if (this.next('"')) return this.string();
    for (const [word, value] of WORDS) if (this.next(word)) return value;
    for (const word of NOT_FINITE) {
      if (this.next(word)) {
        this.notes.notFinite.push(word);
        return new NotFinite(word);
      }
    }
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) this.fail("a value");
    this.at = NUMBER.lastIndex;
    return new Written(found[0]);
  }

  object(depth) {
    const found = new Map();
    this.space();
    if (this.next("}")) return found;
    do {
      this.space();
      if (!this.next('"')) this.fail("a name in quotes");
      const name = this.string();
      this.space();
      if (!this.next(":")) this.fail("':'");
      found.set(name, this.value(depth));
      this.space();
    } while (this.next(","));
    if (!this.next("}")) this.fail("',' or '}'");
    return found;
  }

  array(depth) {
    const found = [];
    this.space();
    if (this.next("]")) return found;
    do {
      found.push(this.value(depth));
      this.space();
    } while (this.next(","));
    if (!this.next("]")) this.fail("',' or ']'");
    return found;
  }

  string() {
    let found = "";
    for (;;) {
      PLAIN.lastIndex = this.at;
      PLAIN.test(this.text);
      found += this.text.slice(this.at, PLAIN.lastIndex);
      this.at = PLAIN.lastIndex;
      if (this.next('"')) break;
      if (!this.next("\\")) this.fail("the end of a text, without control characters");
      found += this.escaped();
    }
    if (!found.isWellFormed()) this.notes.halves = true;
    return found;
  }

  escaped() {
    const kind = this.text[this.at];
    if (kind === "u") {
      const digits = this.text.slice(this.at + 1, this.at + 5);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail("four hexadecimal digits");
      this.at += 5;
      return String.fromCharCode(parseInt(digits, 16));
    }
    if (!Object.hasOwn(ESCAPES, kind ?? "")) this.fail("an escape of JSON");
    this.at += 1;
    return ESCAPES[kind];
  }
}

/** A value as ASCII JSON: a BigInt is written whole, a number always as a double is (1.0), so that readers see which it was. */
export function write(value) {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return double(value);
  if (value instanceof Written || value instanceof NotFinite) return value.text;
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const pairs = value instanceof Map ? [...value] : Object.entries(value);
    return `{${pairs.map(([name, one]) => `${string(name)}:${write(one)}`).join(",")}}`;
  }
  return typeof value === "string" ? string(value) : String(value);
}

function string(value) {
  return JSON.stringify(value).replace(/[\u0080-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function double(value) {
  if (!Number.isFinite(value)) throw new TypeError(`JSON has no ${value}`);
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}
