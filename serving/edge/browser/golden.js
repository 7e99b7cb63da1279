// The golden vectors: events, and what history says of them. A runner that computes anything else does not run.
//
//   {"source": "orders", "event": "{…}", "features": {…}, "own": {…}, "score": 0.25, "outputs": {…}}
//
// `features` are the batch engine's: equal to the bit where rule 7 of the window contract says so, and else as near as it says.
// `own` are the Python runner's of those others, where the bundle was made: equal to the bit too.

import { Device, EVER } from "./device.js";
import { EdgeError, UnscorableError } from "./errors.js";
import * as events from "./events.js";
import { Written, parse } from "./json.js";
import { Decimal, decimal, isClose, ten } from "./numbers.js";

const RULE = "windows and scores are those of the golden vectors";
const ADVICE = "use the browser or the device for which the bundle was made, or export the model again";

/** How many vectors and values were compared. Throws `EdgeError` with the first difference. */
export async function replay(plan, session, functions, content) {
  const lines = content.split("\n").filter(Boolean).map((line) => parse(line));
  const device = new Device(plan, session, functions, { rows: lines.length + 1, keys: lines.length + 1, ids: 1, wholeFrom: EVER });
  const features = plan.windows.flatMap((stage) => stage.features);
  const { tolerance, smallest } = plan.model;
  const scores = lines.filter((line) => line.has("score")).map((line) => Math.abs(Number(line.get("score").text)));
  const least = smallest * scores.reduce((one, other) => Math.max(one, other), 1);
  let [vectors, values] = [0, 0];
  for (const [place, line] of lines.entries()) {
    const event = events.readAgain(plan.sources.get(line.get("source")), line.get("event"));
    device.add(event);
    if (!line.has("features")) continue;
    const where = `of event ${event.id} in line ${place + 1}`;
    const [found, score, outputs] = await computed(device, event, where);
    for (const [what, expected, got] of differing(features, line, found)) {
      throw new EdgeError(`${RULE}; ${what} ${where} is ${text(got)}, not ${text(expected)}; ${ADVICE}`);
    }
    if (!isClose(score, Number(line.get("score").text), tolerance, least)) {
      throw new EdgeError(`${RULE}; the score ${where} is ${score}, not ${line.get("score").text} within ${tolerance}; ${ADVICE}`);
    }
    if (!areClose(line.get("outputs") ?? new Map(), outputs, tolerance, smallest)) {
      throw new EdgeError(`${RULE}; the outputs ${where} are ${JSON.stringify(outputs, (name, value) => text(value))}; ${ADVICE}`);
    }
    vectors += 1;
    values += features.length;
  }
  if (!vectors) throw new EdgeError(`${RULE}; got none; export the model again, with --golden`);
  return { vectors, values };
}

async function computed(device, event, where) {
  try {
    const [found] = device.features(event);
    const [score, outputs] = await device.session.score(device.inputs(event, found));
    return [found, score, outputs];
  } catch (error) {
    if (!(error instanceof UnscorableError)) throw error;
    throw new EdgeError(`${RULE}; the prediction ${where} is not to be had: ${error.message}; ${ADVICE}`);
  }
}

function* differing(features, line, found) {
  for (const { name, bits, relative } of features) {
    const expected = line.get("features").get(name);
    if (!same(expected, found[name], bits ? 0 : relative)) yield [name, expected, found[name]];
    const own = line.get("own");
    if (own && !bits && !same(own.get(name), found[name], 0)) {
      yield [`${name}, which is the same to the bit on every machine,`, own.get(name), found[name]];
    }
  }
}

/** Whether a value is the one in JSON: to the bit, or within `relative`. */
export function same(expected, got, relative) {
  if (Array.isArray(got)) {
    return Array.isArray(expected) && expected.length === got.length && got.every((one, place) => same(expected[place], one, relative));
  }
  if (!(expected instanceof Written)) return expected === got;
  if (typeof got === "number") return isClose(Number(expected.text), got, relative);
  const [units, scale] = got instanceof Decimal ? [got.units, got.scale] : [got, 0];
  const [digits, exponent] = decimal(expected.text);
  return typeof units === "bigint" && exponent >= -scale && digits * ten(exponent + scale) === units;
}

function areClose(before, now, tolerance, smallest) {
  if (before instanceof Map) {
    const names = now !== null && typeof now === "object" ? Object.keys(now) : [];
    return names.length === before.size && names.every((name) => before.has(name) && areClose(before.get(name), now[name], tolerance, smallest));
  }
  return before instanceof Written && typeof now === "number"
    ? isClose(Number(before.text), now, tolerance, smallest)
    : same(before, now, 0);
}

/** A value for a person. */
function text(value) {
  if (Array.isArray(value)) return `[${value.map(text)}]`;
  if (value instanceof Written) return value.text;
  return value instanceof Decimal ? `${value.units}e-${value.scale}` : typeof value === "bigint" ? String(value) : value;
}
