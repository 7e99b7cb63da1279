// Events as JSON: read by the types of their source, and refused by the rules of the stream (rule 8, docs/messages.md).

import { RefusedError } from "./errors.js";
import { NotFinite, Written, parse, write } from "./json.js";
import { adjusted, decimal, quotient, ten } from "./numbers.js";
import { typeText } from "./plan.js";

const DAY_MS = 86_400_000;
const LONGEST = 20; // digits of a whole number of 64 bits, with its sign
const WRITTEN = 1000; // characters of a number at most: no column holds one that needs as many
const SHOWN = 40;
const LATEST = 2 ** 53; // milliseconds that a double counts
/** ISO 8601 with an offset. */
const MOMENT =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:[Zz]|([+-])(\d\d)(?::(\d\d)(?::(\d\d))?)?)$/;

/** The field that the runner adds to an event in its outbox. */
export const OWN = "_edge";

/**
 * The event in a text: `{source, id, time, columns, text}`. A decimal is its whole number of units, 1250n for 12.50 of
 * decimal(12,2). Throws `RefusedError`.
 */
export function read(source, text, now, maxAheadMs, maxAgeDays) {
  const notes = { notFinite: [], halves: false };
  const found = parsed(text, notes);
  if (!(found instanceof Map)) throw new RefusedError("not_json", `an event is one JSON object; got ${brief(text)}`);
  if (found.has(OWN)) {
    throw new RefusedError("not_json", `'${OWN}' is the runner's own field; got an event that has it; send the event as it was`);
  }
  const columns = Object.create(null);
  for (const column of source.columns) columns[column.name] = value(column, found.get(column.name) ?? null);
  if (notes.notFinite.length) { // in a field that is no column; as it is, nobody could publish it
    throw new RefusedError("not_json", `an event is one JSON object; got ${notes.notFinite[0]}, which JSON does not have`);
  }
  if (notes.halves) throw new RefusedError("not_json", "an event is one JSON object in UTF-8; got half of a surrogate pair");
  if (columns[source.time] === null) throw new RefusedError("missing_time", `${source.time} is missing`);
  for (const name of source.required) {
    if (columns[name] === null) throw new RefusedError("missing_key", `${name} is missing`);
  }
  const when = Number(columns[source.time]);
  if (when < Math.max(0, now - maxAgeDays * DAY_MS) || when > Math.min(now + maxAheadMs, LATEST)) {
    const came = columns[source.time];
    const what = when < 0 ? "is before 1970" : when < now ? "is too old" : `is ${came - BigInt(now)} ms ahead of the clock`;
    throw new RefusedError("time_out_of_bounds", `${source.time} ${what}; got ${came}`);
  }
  return { source: source.name, id: columns[source.event_id], time: when, columns, text };
}

/** The event in a text that was taken before: whatever its time is by now. Throws `RefusedError`. */
export function readAgain(source, text) {
  return read(source, text, 0, LATEST, 0);
}

/** A column's value as functions see it: a decimal is the nearest double, or a whole number where it has no places. */
export function typed(column, found) {
  return found === null || column.kind !== "decimal" || !column.scale ? found : quotient(found, ten(column.scale));
}

function parsed(text, notes) {
  if (!text.isWellFormed()) throw new RefusedError("not_json", "an event is one JSON object; got what is no UTF-8");
  try {
    return parse(text, notes);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RefusedError("not_json", `an event is one JSON object; ${error.message}`);
  }
}

function value(column, came) {
  if (came === null) return null;
  if (came instanceof NotFinite) throw new RefusedError("not_finite", `${column.name} is ${typeText(column)}; got ${came.text}`);
  const found = READ[column.kind](column, came);
  if (found === null) throw new RefusedError("wrong_type", `${column.name} is ${typeText(column)}; got ${brief(write(came))}`);
  return found;
}

/** 3.0 and 3e0 are 3. */
function whole(column, came) {
  const number = digits(came);
  if (number === null || (number[0] !== 0n && (number[1] < 0 || adjusted(number) >= LONGEST))) return null;
  const found = number[0] * ten(number[1]);
  return -(2n ** 63n) <= found && found < 2n ** 63n ? found : null;
}

/** In units; more digits than the column has are refused, zeros at the end do not count. */
function units(column, came) {
  const number = digits(came);
  if (number === null) return null;
  const [found, exponent] = number;
  if (found === 0n) return 0n;
  if (adjusted(number) >= column.precision - column.scale || exponent < -column.scale) return null;
  return found * ten(exponent + column.scale);
}

function double(column, came) {
  if (!(came instanceof Written)) return null;
  const found = Number(came.text);
  if (!Number.isFinite(found)) {
    throw new RefusedError("not_finite", `${column.name} is ${typeText(column)}; got ${brief(came.text)}`);
  }
  return found + 0; // rule 7: -0.0 is 0.0
}

/** Milliseconds, of a number of them or of a text as ISO 8601 has it; what is finer is cut off. */
function moment(column, came) {
  if (came instanceof Written) return whole(column, came);
  const match = typeof came === "string" ? MOMENT.exec(came) : null;
  if (!match) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((text) => Number(text ?? 0));
  const [fraction = "", sign] = match.slice(7, 9);
  const [hours, minutes, seconds] = match.slice(9).map((text) => Number(text ?? 0));
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (year < 1 || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null; // the 30th of February, say
  const away = (hours * 60 + minutes) * 60 + seconds;
  if (hour > 23 || minute > 59 || second > 59 || minutes > 59 || seconds > 59 || away > 18 * 3600) return null;
  const offset = sign === "-" ? -away : away;
  const ms = Number(fraction.slice(0, 3).padEnd(3, "0"));
  return BigInt(date.getTime() + ((hour * 60 + minute) * 60 + second - offset) * 1000 + ms);
}

function string(column, came) {
  return typeof came === "string" && came.isWellFormed() ? came : null;
}

function truth(column, came) {
  return typeof came === "boolean" ? came : null;
}

/** Digits and exponent of a number that is not too long. */
function digits(came) {
  return came instanceof Written && came.text.length <= WRITTEN ? decimal(came.text) : null;
}

/** How a value of each kind is read; null where it does not fit. */
const READ = { int64: whole, decimal: units, float64: double, timestamp: moment, string, bool: truth };

function brief(text) {
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`;
}
