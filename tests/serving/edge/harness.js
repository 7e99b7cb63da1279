// The browser runner's modules at work on what a test gives them; results are JSON that loses nothing.

import { Device } from "./browser/device.js";
import { RefusedError, UnscorableError } from "./browser/errors.js";
import * as events from "./browser/events.js";
import { write } from "./browser/json.js";
import { feed } from "./browser/model.js";
import { Decimal } from "./browser/numbers.js";
import * as plans from "./browser/plan.js";

/** A decimal as a text that Python's Decimal reads. */
function exact(value) {
  if (Array.isArray(value)) return value.map(exact);
  return value instanceof Decimal ? `${value.units}E-${value.scale}` : value;
}

/**
 * What a device without a model says of rows, each [source, text]: null of another source's, [reason] of a refused one, [name, why] of
 * one beyond a double, and else [features, complete]. Before row `restart` it is saved and restored.
 */
export function windows(planText, rows, options, restart = -1) {
  const plan = plans.read(planText);
  let device = new Device(plan, null, new Map(), options);
  const said = [];
  for (const [place, [source, text]] of rows.entries()) {
    if (place === restart) {
      const saved = structuredClone(device.save());
      device = new Device(plan, null, new Map(), options);
      device.restore(saved);
    }
    said.push(rowSaid(device, source, text));
  }
  const kept = device.windows.map((one) => [one.keys.size, Math.max(0, ...[...one.keys.values()].map((rows) => rows.times.length))]);
  return write([said, kept.map((one) => one.map(BigInt))]);
}

function rowSaid(device, source, text) {
  const { plan } = device;
  let event;
  try {
    event = events.read(plan.sources.get(source), text, Date.now(), plan.max_ahead_ms, plan.max_age_days);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    return [error.reason];
  }
  device.add(event);
  if (source !== plan.spine) return null;
  try {
    const [features, complete] = device.features(event);
    return [Object.fromEntries(Object.entries(features).map(([name, value]) => [name, exact(value)])), complete];
  } catch (error) {
    if (!(error instanceof UnscorableError)) throw error;
    return ["unscorable", error.message];
  }
}

/** An event's columns, or the reason why it is refused and the text. */
export function read(planText, source, texts, now) {
  const plan = plans.read(planText);
  return write(
    texts.map((text) => {
      try {
        return events.read(plan.sources.get(source), text, now, plan.max_ahead_ms, plan.max_age_days).columns;
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        return [error.reason, error.message];
      }
    }),
  );
}

/** The bits of a tensor for a row of [kind, text]; null for a value that it does not hold. */
export function fed(tensor, row) {
  const values = row.map(([kind, text]) => (kind === "int" ? BigInt(text) : kind === "float" ? double(text) : JSON.parse(text)));
  try {
    const [type, data] = feed(tensor, values);
    const bytes = ArrayBuffer.isView(data) ? Array.from(new Uint8Array(data.buffer)) : data;
    return JSON.stringify([type, bytes]);
  } catch (error) {
    if (!(error instanceof UnscorableError)) throw error;
    return "null";
  }
}

/** What a function of functions.js gives for columns of [kind, text]; null where it throws. */
export async function called(address, name, rows) {
  const { functions } = await import(address);
  const found = rows.map((columns) => {
    const given = Object.entries(columns).map(([column, [kind, text]]) => [column, [value(kind, text)]]);
    try {
      return [...functions.get(name)(new Map(given))].map(([output, [one]]) => [output, printed(one)]);
    } catch (error) {
      return null;
    }
  });
  return JSON.stringify(found);
}

/** A float as Python writes it. */
function double(text) {
  return Number(text.replace("inf", "Infinity"));
}

function value(kind, text) {
  return { int: BigInt, float: double, bool: (one) => one === "True", NoneType: () => null, str: (one) => one }[kind](text);
}

/** As Python's type and text would be, a double by its bits; of a NaN these say nothing. */
function printed(one) {
  if (Number.isNaN(one)) return ["float", "nan"];
  if (typeof one === "number") return ["float", new BigInt64Array(new Float64Array([one]).buffer)[0].toString()];
  if (one === null) return ["None", "None"];
  return [{ bigint: "int", boolean: "bool" }[typeof one] ?? typeof one, String(one)];
}
