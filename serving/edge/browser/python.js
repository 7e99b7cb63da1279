// Python's operators and functions for `functions.js`: a BigInt is an int, a number a float, a Map a dict, an Array a list or tuple.
// What Python gives one by one, once, is an iterator here too: a generator, zip, enumerate, reversed.
//
// What raises in Python throws here. exp, log, sin and their like are the browser's: they may differ from Python's in the last bit.

import { halfToEven, magnitude, nearest, parts, quotient, ten } from "./numbers.js";

export const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

function fail(what) {
  throw new TypeError(what);
}

function kind(value) {
  return value === null ? "None" : Array.isArray(value) ? "list" : value instanceof Map ? "dict" : typeof value;
}

/** An int or a float; a bool is the int that it is. */
export function numeric(value) {
  if (typeof value === "boolean") return value ? 1n : 0n;
  return typeof value === "bigint" || typeof value === "number" ? value : fail(`a number is needed; got ${kind(value)}`);
}

function isNumber(value) {
  return ["number", "bigint", "boolean"].includes(typeof value);
}

function index(value) {
  const found = numeric(value);
  return typeof found === "bigint" ? found : fail("a whole number is needed; got a float");
}

/** An operator of two numbers: of ints, or of floats where one is. */
function arithmetic(ofInts, ofFloats) {
  return (one, other) => {
    const [a, b] = [numeric(one), numeric(other)];
    return typeof a === "bigint" && typeof b === "bigint" ? ofInts(a, b) : ofFloats(float(a), float(b));
  };
}

function divisor(value) {
  if (value == 0) throw new RangeError("division by zero"); // 0 and 0n
  return value;
}

const addNumbers = arithmetic((a, b) => a + b, (a, b) => a + b);

export function add(one, other) {
  if (typeof one === "string" && typeof other === "string") return one + other;
  if (Array.isArray(one) && Array.isArray(other)) return [...one, ...other];
  return addNumbers(one, other);
}
export const subtract = arithmetic((a, b) => a - b, (a, b) => a - b);
const multiplyNumbers = arithmetic((a, b) => a * b, (a, b) => a * b);

export function multiply(one, other) {
  const [many, count] = isNumber(one) ? [other, one] : [one, other];
  if (Array.isArray(many)) return Array(Math.max(0, Number(index(count)))).fill(many).flat(1);
  return typeof many === "string" ? many.repeat(Math.max(0, Number(index(count)))) : multiplyNumbers(one, other);
}
export const divide = arithmetic(
  (a, b) => (divisor(b) < 0n ? -quotient(a, -b) : quotient(a, b)), // 0 / -2 is -0.0
  (a, b) => a / divisor(b),
);
export const floorDivide = arithmetic((a, b) => floored(a, divisor(b))[0], (a, b) => flooredFloats(a, divisor(b))[0]);
export const modulo = arithmetic((a, b) => floored(a, divisor(b))[1], (a, b) => flooredFloats(a, divisor(b))[1]);
export const power = arithmetic((a, b) => (b < 0n ? floatPower(nearest(a), nearest(b)) : a ** b), floatPower);

function floored(a, b) {
  const [whole, rest] = [a / b, a % b];
  return rest !== 0n && rest < 0n !== b < 0n ? [whole - 1n, rest + b] : [whole, rest];
}

/** As CPython's float_divmod. */
function flooredFloats(a, b) {
  let rest = a % b;
  if (Number.isNaN(rest)) return [nan, nan];
  let whole = (a - rest) / b;
  if (rest) {
    if (b < 0 !== rest < 0) [rest, whole] = [rest + b, whole - 1];
  } else {
    rest = copysign(0, b);
  }
  if (!whole) return [copysign(0, a / b), rest];
  const floor = Math.floor(whole);
  return [whole - floor > 0.5 ? floor + 1 : floor, rest];
}

export function floatPower(a, b) {
  if (a === 1 || b === 0) return 1; // also of NaN, where JavaScript has NaN
  if (a === 0 && b < 0 && b !== -inf) throw new RangeError("0.0 cannot be raised to a negative power");
  if (a === -1 && Math.abs(b) === inf) return 1;
  if (a < 0 && Number.isFinite(a) && Number.isFinite(b) && !Number.isInteger(b)) fail("a complex number");
  return bounded(a ** b, a, b);
}

/** A result that is infinite of finite numbers is an error in Python. */
export function bounded(result, ...from) {
  if (Math.abs(result) === inf && from.every(Number.isFinite)) throw new RangeError("math range error");
  if (Number.isNaN(result) && !from.some(Number.isNaN)) throw new RangeError("math domain error");
  return result;
}

export function negative(value) {
  return -numeric(value);
}

export function positive(value) {
  return numeric(value);
}

export function truth(value) {
  if (value === undefined) fail("a name has no value yet");
  if (Array.isArray(value)) return value.length > 0;
  return value instanceof Map ? value.size > 0 : Boolean(value) || Number.isNaN(value);
}

export function and(...values) {
  return values.slice(1).reduce((found, next) => (truth(found) ? next() : found), values[0]());
}

export function or(...values) {
  return values.slice(1).reduce((found, next) => (truth(found) ? found : next()), values[0]());
}

export function equal(one, other) {
  if (isNumber(one) && isNumber(other)) return numeric(one) == numeric(other); // exact, of an int and a float too
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((value, place) => equal(value, other[place]));
  }
  if (one instanceof Map && other instanceof Map) {
    return one.size === other.size && [...one].every(([key, value]) => other.has(key) && equal(value, other.get(key)));
  }
  return one === other;
}

/** `is` of None and truths. */
export function same(one, other) {
  return one === other;
}

/** The first place where two sequences differ, or the end of the shorter. */
function compared(one, other, compare) {
  if (isNumber(one) && isNumber(other)) return compare(numeric(one), numeric(other));
  const [a, b] = typeof one === "string" && typeof other === "string" ? [codes(one), codes(other)] : [one, other];
  if (!Array.isArray(a) || !Array.isArray(b)) fail(`'<' of ${kind(one)} and ${kind(other)}`);
  const place = a.findIndex((value, at) => at >= b.length || !equal(value, b[at]));
  return place < 0 || place >= b.length ? compare(a.length, b.length) : compared(a[place], b[place], compare);
}

function codes(text) {
  return Array.from(text, (one) => one.codePointAt(0));
}

export function less(one, other) {
  return compared(one, other, (a, b) => a < b);
}

export function atMost(one, other) {
  return compared(one, other, (a, b) => a <= b);
}

export function has(many, one) {
  if (many instanceof Map) return many.has(one);
  if (typeof many === "string") return typeof one === "string" ? many.includes(one) : fail("'in' of a text is of a text");
  return each(many).some((value) => equal(value, one));
}

function isIterator(many) {
  return typeof many?.next === "function";
}

/** What a loop goes over; an iterator has nothing left then. */
export function each(many) {
  return isIterator(many) ? [...many] : sequence(many);
}

/** What has a length and places. */
function sequence(many) {
  if (Array.isArray(many)) return many;
  if (many instanceof Map) return [...many.keys()];
  return typeof many === "string" ? Array.from(many) : fail(`${kind(many)} is not iterable, or has no length and no places`);
}

/** Values for names of this shape, [0, [0, 0]] for `a, (b, c)`. */
export function unpacked(many, shape) {
  const found = each(many);
  if (found.length !== shape.length) fail(`${shape.length} values are needed; got ${found.length}`);
  return found.map((value, place) => (shape[place] ? unpacked(value, shape[place]) : value));
}

function placeIn(many, place) {
  const at = Number(index(place));
  return at < 0 ? at + many.length : at;
}

export function at(many, place) {
  if (many instanceof Map) return many.has(place) ? many.get(place) : fail(`KeyError: ${place}`);
  const found = sequence(many);
  const where = placeIn(found, place);
  return where >= 0 && where < found.length ? found[where] : fail("index out of range");
}

export function put(many, place, value) {
  if (many instanceof Map) {
    many.set(typeof place === "string" ? place : fail("a dict's keys are texts here"), value);
    return;
  }
  const where = placeIn(Array.isArray(many) ? many : fail(`${kind(many)} has no items`), place);
  if (where < 0 || where >= many.length) fail("index out of range");
  many[where] = value;
}

export function slice(many, from, to) {
  const ends = [from === null ? 0n : index(from), to === null ? undefined : index(to)];
  const found = sequence(many).slice(...ends.map((end) => (end === undefined ? end : Number(end))));
  return typeof many === "string" ? found.join("") : found;
}

export function appendOf(many) {
  if (!Array.isArray(many)) fail(`${kind(many)} has no append`);
  return (value) => {
    many.push(value);
    return null;
  };
}

function mapping(many) {
  return many instanceof Map ? many : fail(`${kind(many)} is no dict`);
}
export const getOf = (many) => (key, other = null) => (mapping(many).has(key) ? many.get(key) : other);
export const itemsOf = (many) => () => [...mapping(many)];
export const keysOf = (many) => () => [...mapping(many).keys()];
export const valuesOf = (many) => () => [...mapping(many).values()];

export function dict(many = []) {
  const made = new Map(many instanceof Map ? many : []);
  if (!(many instanceof Map)) for (const pair of each(many)) put(made, ...unpacked(pair, [0, 0]));
  return made;
}

export function float(value) {
  if (typeof value !== "string") {
    const found = numeric(value);
    return typeof found === "bigint" ? nearest(found) : found;
  }
  const text = value.trim();
  const word = /^([+-]?)(inf(?:inity)?|nan)$/i.exec(text);
  if (word) return (word[1] === "-" ? -1 : 1) * (/^n/i.test(word[2]) ? nan : inf);
  if (!/^[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[+-]?\d+(_\d+)*)?$/i.test(text)) fail(`float() of '${value}'`);
  return Number(text.replaceAll("_", ""));
}

export function int(value) {
  if (typeof value === "string") {
    const text = value.trim();
    if (!/^[+-]?\d+(_\d+)*$/.test(text)) fail(`int() of '${value}'`);
    const found = BigInt(text.replace(/^[+-]/, "").replaceAll("_", ""));
    return text.startsWith("-") ? -found : found;
  }
  const found = numeric(value);
  return typeof found === "bigint" ? found : whole(Math.trunc(found));
}

export function whole(value) {
  return Number.isFinite(value) ? BigInt(value) : fail(`no whole number is ${value}`);
}

export function bool(value) {
  return truth(value);
}

export function abs(value) {
  const found = numeric(value);
  return typeof found === "bigint" ? magnitude(found) : Math.abs(found);
}

/** Half to even, of the exact value. */
export function round(value, places = null) {
  const found = numeric(value);
  const digits = places === null ? 0n : index(places);
  if (typeof found === "bigint") {
    const unit = digits < 0n ? ten(-digits) : 1n;
    return halfToEven(found, unit) * unit;
  }
  if (!Number.isFinite(found)) return places === null ? whole(found) : found;
  const [mantissa, exponent] = parts(found);
  const [above, below] = exponent < 0 ? [mantissa, 1n << BigInt(-exponent)] : [mantissa << BigInt(exponent), 1n];
  if (places === null) return halfToEven(above, below);
  if (digits > 400n || digits < -400n) return digits > 0n ? found : copysign(0, found);
  const rounded = digits < 0n ? halfToEven(above, below * ten(-digits)) * ten(-digits) : halfToEven(above * ten(digits), below);
  return copysign(Math.abs(quotient(rounded, digits < 0n ? 1n : ten(digits))), found);
}

export function divmod(one, other) {
  return [floorDivide(one, other), modulo(one, other)];
}

export function pow(one, other) {
  return power(one, other);
}

export function len(many) {
  return BigInt(sequence(many).length);
}

function best(values, better) {
  const all = values.length === 1 ? each(values[0]) : values;
  return all.length ? all.reduce((one, other) => (better(other, one) ? other : one)) : fail("of an empty list");
}
export const min = (...values) => best(values, less);
export const max = (...values) => best(values, (one, other) => less(other, one));
export const sum = (many, start = 0n) => each(many).reduce(addNumbers, start);
export const list = (many = []) => [...each(many)];
export const tuple = list;
export const reversed = (many) => [...sequence(many)].reverse().values();
export const sorted = (many) => [...each(many)].sort((one, other) => (less(one, other) ? -1 : less(other, one) ? 1 : 0));
export const enumerate = (many, start = 0n) => each(many).map((value, place) => [index(start) + BigInt(place), value]).values();

/** Whether there is a value of this truth: none behind the first is computed. */
function isThere(many, wanted) {
  for (const value of isIterator(many) ? many : sequence(many)) if (truth(value) === wanted) return true;
  return false;
}
export const all = (many) => !isThere(many, false);
export const any = (many) => isThere(many, true);

export function zip(...many) {
  const lists = many.map(each);
  const shortest = lists.length ? Math.min(...lists.map((one) => one.length)) : 0;
  return Array.from({ length: shortest }, (_, place) => lists.map((one) => one[place])).values();
}

export function zipStrict(...many) {
  const lists = many.map(each);
  const lengths = new Set(lists.map((one) => one.length));
  return lengths.size > 1 ? fail("zip() of lists that are not as long") : zip(...lists);
}

export function range(...ends) {
  const [from, to, step = 1n] = (ends.length === 1 ? [0n, ...ends] : ends).map(index);
  if (step === 0n) fail("range() by steps of 0");
  const found = [];
  for (let value = from; step > 0n ? value < to : value > to; value += step) found.push(value);
  return found;
}

export function copysign(size, sign) {
  return Object.is(Math.sign(sign), -0) || sign < 0 ? -Math.abs(size) : Math.abs(size);
}
