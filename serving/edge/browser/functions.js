// The functions of windows, one each: what it makes of the values that are not null, in their order (rules 4, 5 and 7).

import { OverflowError, UnscorableError } from "./errors.js";
import { Decimal, mean, nearest, quotient, sum, ten, wholes } from "./numbers.js";

const LARGEST = 1e290; // beyond it a quantile is not rounded
const BITS = 2 ** 45 + 1; // rounds a double to eight significant bits (Veltkamp's splitting)

/** The feature of a window with these values, nulls left out. Throws `UnscorableError` for what no double holds. */
export function result(feature, values) {
  const name = feature.function;
  if (values.length < (LEAST[name] ?? 1)) return Object.hasOwn(EMPTY, name) ? EMPTY[name](feature) : feature.fill;
  try {
    return FUNCTIONS[name](feature, values);
  } catch (error) {
    if (!(error instanceof OverflowError)) throw error;
    throw new UnscorableError(`${feature.name} is beyond a double`);
  }
}

const isDouble = (feature) => feature.column.kind === "float64";
const order = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
const total = (values) => values.reduce((one, other) => one + other, 0n);

/** A whole number of units as the column's own type. */
function exact({ column }, value) {
  return column.kind === "decimal" ? new Decimal(value, column.scale) : value;
}

function meanOf(feature, values) {
  if (isDouble(feature)) return mean(values);
  return nearest(total(values)) / nearest(BigInt(values.length) * ten(feature.column.scale));
}

/** (n Σx² - (Σx)²) / (n (n - less)), in whole numbers, divided once. */
function variance(feature, values, less) {
  let unit = ten(feature.column.scale);
  if (isDouble(feature)) {
    const [found, exponent] = wholes(values);
    [values, unit] = [found, 1n << BigInt(-exponent)];
  }
  const n = BigInt(values.length);
  const sums = total(values);
  return quotient(n * total(values.map((value) => value * value)) - sums * sums, n * (n - less) * unit * unit);
}

function quantile(feature, values) {
  const [numerator, denominator] = feature.parameter;
  const place = Math.max(1, Math.ceil((numerator * values.length) / denominator)); // whole numbers far below 2^53: exact
  const found = [...values].sort(order)[place - 1];
  const x = isDouble(feature) ? found : quotient(found, ten(feature.column.scale));
  return Math.abs(x) > LARGEST ? x : x * BITS - (x * BITS - x);
}

function extreme(values, sign) {
  return values.reduce((one, other) => (order(other, one) === sign ? other : one));
}

const FUNCTIONS = {
  count: (feature, values) => BigInt(values.length),
  count_distinct: (feature, values) => BigInt(new Set(values).size),
  sum: (feature, values) => (isDouble(feature) ? sum(values) : exact(feature, total(values))),
  mean: meanOf,
  min: (feature, values) => exact(feature, extreme(values, -1)),
  max: (feature, values) => exact(feature, extreme(values, 1)),
  var_pop: (feature, values) => variance(feature, values, 0n),
  var_samp: (feature, values) => variance(feature, values, 1n),
  std_pop: (feature, values) => Math.sqrt(variance(feature, values, 0n)),
  std_samp: (feature, values) => Math.sqrt(variance(feature, values, 1n)),
  first: (feature, values) => exact(feature, values[0]),
  last: (feature, values) => exact(feature, values[values.length - 1]),
  last_n: (feature, values) => values.slice(-feature.parameter[0]).map((value) => exact(feature, value)),
  quantile,
};

/** How many values a function needs at least, where that is not one. */
const LEAST = { var_samp: 2, std_samp: 2 };

/** What an empty window is, where that is not null or the fill value (rule 4). */
const EMPTY = {
  count: () => 0n,
  count_distinct: () => 0n,
  sum: (feature) => (isDouble(feature) ? 0 : exact(feature, 0n)),
  last_n: () => [],
};
