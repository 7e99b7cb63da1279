// Python's module math for `functions.js`: ints and floats as python.js has them; what raises in Python throws here.

import { sum } from "./numbers.js";
import { bounded, copysign, divide, each, float, floatPower, inf, nan, numeric, whole } from "./python.js";

/** A function of a float; infinite or no number at all of finite ones, it is an error. */
const ofFloats = (compute) => (...values) => {
  const found = values.map(float);
  return bounded(compute(...found), ...found);
};

/** log of an int beyond a double too. */
function logarithm(compute) {
  return (value) => {
    const found = numeric(value);
    if (found <= 0) throw new RangeError("math domain error");
    if (typeof found === "number") return compute(found);
    const shift = BigInt(Math.max(0, 4 * found.toString(16).length - 1000));
    return compute(Number(found >> shift)) + Number(shift) * compute(2);
  };
}

const ln = logarithm(Math.log);

/** Rounded to a whole number. */
const towards = (compute) => (value) => {
  const found = numeric(value);
  return typeof found === "bigint" ? found : whole(compute(found));
};

/** Where some are infinite or no numbers, what these alone give. */
function fsum(values) {
  const others = values.filter((value) => !Number.isFinite(value));
  return others.length ? bounded(others.reduce((one, other) => one + other), ...others) : sum(values);
}

export const math = {
  pi: Math.PI,
  e: Math.E,
  tau: 2 * Math.PI,
  inf,
  nan,
  sqrt: ofFloats(Math.sqrt),
  exp: ofFloats(Math.exp),
  expm1: ofFloats(Math.expm1),
  log: (value, base) => (base === undefined ? ln(value) : divide(ln(value), ln(base))),
  log2: logarithm(Math.log2),
  log10: logarithm(Math.log10),
  log1p: ofFloats((value) => (value <= -1 ? nan : Math.log1p(value))),
  pow: (one, other) => floatPower(float(one), float(other)),
  fmod: ofFloats((a, b) => a % b),
  copysign: (size, sign) => copysign(float(size), float(sign)),
  fabs: (value) => Math.abs(float(value)),
  floor: towards(Math.floor),
  ceil: towards(Math.ceil),
  trunc: towards(Math.trunc),
  isnan: (value) => Number.isNaN(float(value)),
  isinf: (value) => Math.abs(float(value)) === inf,
  isfinite: (value) => Number.isFinite(float(value)),
  fsum: (many) => fsum(each(many).map(float)),
  radians: (value) => float(value) * (Math.PI / 180),
  ...Object.fromEntries(
    ["sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"].map((name) => [
      name,
      ofFloats(Math[name]),
    ]),
  ),
};
