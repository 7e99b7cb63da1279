// Exact numbers. A BigInt is a whole number and a number is a double, everywhere in the runner; a decimal is a whole number of units.
//
// Every conversion to a double gives the nearest one, ties to even, as Python's do. Sums of doubles are Shewchuk's ("Adaptive
// Precision Floating-Point Arithmetic", 1997), as Python's `math.fsum` has them.

import { OverflowError } from "./errors.js";

const SAFE = 2n ** 53n;
const bits = new BigUint64Array(1);
const double = new Float64Array(bits.buffer);

/** `units` of 10^-scale: 1250 of scale 2 are 12.50. */
export class Decimal {
  constructor(units, scale) {
    this.units = units;
    this.scale = scale;
  }
}

/** 10^exponent. */
export function ten(exponent) {
  return 10n ** BigInt(exponent);
}

export function magnitude(value) {
  return value < 0n ? -value : value;
}

/** The double nearest to a whole number. Throws `OverflowError`. */
export function nearest(whole) {
  return finite(Number(whole));
}

/** The double nearest to numerator / denominator, whole numbers, the second above 0. Throws `OverflowError`. */
export function quotient(numerator, denominator) {
  const n = magnitude(numerator);
  if (n < SAFE && denominator < SAFE) return Number(numerator) / Number(denominator); // both exact: rounded once
  if (n === 0n) return 0;
  const shift = length(n) - length(denominator) - 55; // 55 or 56 bits of quotient
  const [above, below] = shift < 0 ? [n << BigInt(-shift), denominator] : [n, denominator << BigInt(shift)];
  const whole = above / below;
  const dropped = BigInt(Math.max(length(whole) - 53, -1074 - shift)); // of a subnormal, more
  const rest = whole * below === above ? 0n : 1n; // all that is behind the last bit is less than half of one
  const found = finite(Number(halfToEven(2n * whole + rest, 2n << dropped)) * power(shift + Number(dropped)));
  return numerator < 0n ? -found : found;
}

/** The whole number nearest to numerator / denominator, the second above 0; half to even. */
export function halfToEven(numerator, denominator) {
  const n = magnitude(numerator);
  const [down, rest] = [n / denominator, n % denominator];
  const more = 2n * rest > denominator || (2n * rest === denominator && down % 2n === 1n);
  const found = more ? down + 1n : down;
  return numerator < 0n ? -found : found;
}

/** A double as a whole number times a power of two. */
export function parts(value) {
  double[0] = value;
  const exponent = Number((bits[0] >> 52n) & 0x7ffn);
  const fraction = bits[0] & 0xfffffffffffffn;
  const whole = exponent ? fraction | 0x10000000000000n : fraction;
  return [value < 0 ? -whole : whole, Math.max(exponent, 1) - 1075];
}

/** Doubles as whole numbers of one unit, 2^exponent. */
export function wholes(values) {
  const found = values.map(parts);
  const exponent = found.reduce((least, [, one]) => Math.min(least, one), 0);
  return [found.map(([whole, one]) => whole << BigInt(one - exponent)), exponent];
}

/** The double nearest to the sum of doubles. Throws `OverflowError`. */
export function sum(values) {
  const found = adaptive(values);
  return Number.isFinite(found) ? found : exactMean(values, 1); // beyond a double on the way, maybe, not in the end
}

/** The sum, divided: once rounded where the sum is beyond a double, else twice, as Python's runner does. */
export function mean(values) {
  const found = adaptive(values);
  return Number.isFinite(found) ? found / values.length : exactMean(values, values.length);
}

function exactMean(values, count) {
  const [all, exponent] = wholes(values);
  const total = all.reduce((one, other) => one + other, 0n);
  return quotient(total, BigInt(count) << BigInt(-exponent));
}

/** As CPython's `math.fsum`; not finite where a partial sum is beyond a double. */
function adaptive(values) {
  const partials = [];
  for (let x of values) {
    let count = 0;
    for (let place = 0; place < partials.length; place++) {
      let y = partials[place];
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low !== 0) partials[count++] = low;
      x = high;
    }
    if (!Number.isFinite(x)) return x;
    partials.length = count;
    if (x !== 0) partials.push(x);
  }
  let high = 0;
  let low = 0;
  let count = partials.length;
  if (count > 0) high = partials[--count];
  while (count > 0) {
    const x = high;
    const y = partials[--count];
    high = x + y;
    low = y - (high - x);
    if (low !== 0) break;
  }
  if (count > 0 && ((low < 0 && partials[count - 1] < 0) || (low > 0 && partials[count - 1] > 0))) {
    const y = low * 2; // half way between two doubles: the rest says to which
    const x = high + y;
    if (y === x - high) high = x;
  }
  return high;
}

/** A number as JSON writes it, as [digits, exponent] of digits × 10^exponent without zeros at the end; zero is [0n, 0]. */
export function decimal(text) {
  const [, sign, whole, fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  const written = whole + fraction;
  const digits = written.replace(/^0+/, "").replace(/0+$/, "");
  if (!digits) return [0n, 0];
  const zeros = written.length - written.replace(/0+$/, "").length;
  return [BigInt(sign + digits), Number(exponent) - fraction.length + zeros];
}

/** The place of the first digit: 0 of 1 to 9, -1 of 0.1. */
export function adjusted([digits, exponent]) {
  return magnitude(digits).toString().length - 1 + exponent;
}

/** Whether two numbers are no further apart than this, in relation to the larger; as Python's `math.isclose`. */
export function isClose(one, other, relative, absolute = 0) {
  if (one === other) return true;
  const apart = Math.abs(one - other);
  return apart <= Math.max(relative * Math.max(Math.abs(one), Math.abs(other)), absolute) && Number.isFinite(apart);
}

function finite(value) {
  if (!Number.isFinite(value)) throw new OverflowError("a number that a double does not hold");
  return value;
}

/** Bits of a whole number above 0. */
function length(value) {
  const text = value.toString(16);
  return 4 * text.length - Math.clz32(parseInt(text[0], 16)) + 28;
}

/** 2^exponent, from -1074 on. */
function power(exponent) {
  if (exponent > 1023) return Infinity;
  bits[0] = exponent >= -1022 ? BigInt(exponent + 1023) << 52n : 1n << BigInt(exponent + 1074);
  return double[0];
}
