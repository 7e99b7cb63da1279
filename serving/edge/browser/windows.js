// The windows of one stage: the rows of each key, in order of time and arrival, in bounded memory (rules 1 to 3 and 6).

import { result } from "./functions.js";

const BLOCK = 64; // rows that are too old are removed so many at a time

/** Nothing was lost since. */
export const NEVER = -Infinity;

/** Where a time would be inserted behind those that are as old: as Python's `bisect_right`. */
function after(times, time, from = 0, to = times.length) {
  while (from < to) {
    const middle = (from + to) >> 1;
    if (time < times[middle]) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** Remove the oldest rows of a key; `lost` is the time of the newest row that was removed, or may have been. */
function remove(rows, count) {
  rows.lost = Math.max(rows.lost, rows.times[count - 1]);
  rows.times.splice(0, count);
  for (const column of Object.values(rows.columns)) column.splice(0, count);
}

function keep(rows, most) {
  if (rows.times.length > most) remove(rows, rows.times.length - most);
}

/** A stage at work; of a key at most `bounds.rows` rows are kept, and at most `bounds.keys` keys. */
export class Windows {
  constructor(stage, latenessMs, bounds) {
    this.stage = stage;
    this.keys = new Map(); // the rows of each, by the order of their last events, the newest last
    this.lost = NEVER; // the time of the newest row of all keys that were removed
    this.kept = stage.longest + latenessMs;
    this.bounds = bounds;
  }

  /** The key of an event's columns, as one text. */
  key(columns) {
    return JSON.stringify(this.stage.key.map((name) => (columns[name] === null ? null : String(columns[name]))));
  }

  /** Take a row, behind those of its time, and remove what is too old or too much. */
  add(key, time, values) {
    const rows = this.keys.get(key) ?? { lost: this.lost, times: [], columns: this.empty() };
    this.keys.delete(key);
    this.keys.set(key, rows);
    const place = after(rows.times, time);
    rows.times.splice(place, 0, time);
    for (const name of this.stage.columns) rows.columns[name].splice(place, 0, values[name]);
    const oldest = rows.times[rows.times.length - 1] - this.kept;
    while (rows.times.length > BLOCK && rows.times[BLOCK - 1] <= oldest) remove(rows, BLOCK);
    keep(rows, this.bounds.rows);
    this.dropKeys();
  }

  empty() {
    return Object.fromEntries(this.stage.columns.map((name) => [name, []]));
  }

  dropKeys() {
    while (this.keys.size > this.bounds.keys) {
      const [key, silent] = this.keys.entries().next().value;
      this.keys.delete(key);
      this.lost = Math.max(this.lost, silent.lost, silent.times[silent.times.length - 1]);
    }
  }

  /** What is kept, for `restore`. */
  save() {
    return { lost: this.lost, keys: [...this.keys] };
  }

  /** Be as the windows that were saved, within these bounds. */
  restore(saved) {
    this.lost = saved.lost;
    this.keys = new Map(saved.keys);
    for (const rows of this.keys.values()) keep(rows, this.bounds.rows);
    this.dropKeys();
  }

  /**
   * The features of a query are put into `features`; gives whether no row is missing in any of its windows. `wholeFrom` is when
   * the rows of the source begin; undefined: there was none yet. Throws `UnscorableError`.
   */
  query(key, time, wholeFrom, features) {
    const rows = this.keys.get(key);
    const lost = rows ? rows.lost : this.lost;
    const start = time - this.stage.longest;
    const until = rows ? after(rows.times, time) : 0;
    const found = new Map();
    for (const feature of this.stage.features) {
      const place = `${feature.window_ms} ${feature.column.name}`;
      if (!found.has(place)) found.set(place, rows ? known(rows, feature, time, until) : []);
      features[feature.name] = result(feature, found.get(place));
    }
    return start >= lost && wholeFrom !== undefined && start >= wholeFrom;
  }
}

/** The values in (time - window_ms, time] that are not null. */
function known(rows, feature, time, until) {
  const since = after(rows.times, time - feature.window_ms, 0, until);
  return rows.columns[feature.column.name].slice(since, until).filter((value) => value !== null);
}
