// One device: takes events one by one, keeps their windows, and gives each event of the spine its prediction.

import { EdgeError, OverflowError, RefusedError, UnscorableError } from "./errors.js";
import * as events from "./events.js";
import { parse, write } from "./json.js";
import { finite, number } from "./model.js";
import * as onDemand from "./on_demand.js";
import { NEVER, Windows } from "./windows.js";

/** From when on the windows' rows are all there: from the first event on, or always, as nothing happened before it. */
export const [FIRST, EVER] = ["first", "ever"];

const NOWHERE = 0; // the place of an event that is in no outbox

/** The windows and the model at work. `store` is undefined where nothing is kept. Calls of `take` must not overlap. */
export class Device {
  constructor(plan, session, functions, { rows, keys, ids, wholeFrom = FIRST, store, clock = Date.now }) {
    this.plan = plan;
    this.taken = 0; // how many events, of all sources, ever
    this.session = session;
    this.functions = functions;
    this.store = store;
    this.clock = clock;
    this.windows = plan.windows.map((stage) => new Windows(stage, plan.lateness_ms, { rows, keys }));
    this.wholeFrom = new Map(); // by source, from when on its rows are all there
    this.hear(wholeFrom);
    this.ids = new Map(); // the newest events by id, with their places in the outbox
    this.mostIds = ids;
  }

  /**
   * What is said of an event, as JSON: its prediction, or why it has none; null of one that is only in windows. `fill`: it is in
   * the windows and no more.
   */
  async take(source, text, fill = false) {
    const now = this.clock();
    let event;
    try {
      event = events.read(this.source(source), text, now, this.plan.max_ahead_ms, this.plan.max_age_days);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return write({ refused: error.reason, detail: error.message, source });
    }
    const id = idOf(event);
    if (this.ids.has(id)) return fill ? null : this.again(event, this.ids.get(id));
    this.add(event);
    const own = { n: BigInt(this.taken) };
    if (source === this.plan.spine && !fill) {
      try {
        own.prediction = await this.predict(event, now);
      } catch (error) {
        if (!(error instanceof UnscorableError)) throw error;
        own.unscorable = error.message;
      }
    }
    const place = fill || !this.store ? NOWHERE : await this.store.append(this.taken, source, text, write(own));
    this.remember(id, place);
    return source === this.plan.spine && !fill ? said(event, own.prediction, own.unscorable) : null;
  }

  /**
   * From when on no event is missing: it replaces what was said before, but for `FIRST`, which says nothing new. Gives whether
   * anything is other than before.
   */
  hear(wholeFrom) {
    if (wholeFrom === FIRST) return false;
    const since = wholeFrom === EVER ? NEVER : wholeFrom;
    const names = [...this.plan.sources.keys()];
    const isNew = names.some((name) => this.wholeFrom.get(name) !== since);
    this.wholeFrom = new Map(names.map((name) => [name, since]));
    return isNew;
  }

  /**
   * Take an event of the outbox that the saved state does not know of; its prediction was made before. One that had been forgotten
   * when it came again was taken twice, also where its id is known by now. Throws `EdgeError`.
   */
  retake(record) {
    let event;
    try {
      event = events.readAgain(this.source(record.source), record.event);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      const what = `event ${record.n} of ${record.source}`;
      throw new EdgeError(`an outbox has events of this bundle's sources; ${what}: ${error.message}; name another state`);
    }
    this.add(event);
    this.remember(idOf(event), record.n);
    this.taken = Math.max(this.taken, record.n); // events that filled windows before it, and were not saved, had numbers too
  }

  /** The window features of an event, exact, and whether they are complete. Throws `UnscorableError`. */
  features(event) {
    const found = Object.create(null);
    let complete = true;
    for (const windows of this.windows) {
      const wholeFrom = this.wholeFrom.get(windows.stage.source);
      complete = windows.query(windows.key(event.columns), event.time, wholeFrom, found) && complete;
    }
    return [found, complete];
  }

  /** The model's inputs by column, of an event and its window features. Throws `UnscorableError`. */
  inputs(event, features) {
    const found = Object.create(null);
    try {
      for (const [name, value] of Object.entries(features)) found[name] = number(value);
    } catch (error) {
      if (!(error instanceof OverflowError)) throw error;
      throw new UnscorableError(error.message);
    }
    for (const view of this.plan.on_demand) onDemand.call(view, this.functions.get(view.view), event.columns, found);
    for (const [column, [feature, place]] of Object.entries(this.plan.lists)) found[column] = found[feature].at(place) ?? null;
    return Object.fromEntries(this.plan.model.columns.map((name) => [name, found[name]]));
  }

  /** The state, as a database keeps it. */
  save() {
    return {
      taken: this.taken,
      wholeFrom: [...this.wholeFrom],
      stages: this.windows.map((windows) => windows.save()),
      ids: [...this.ids],
    };
  }

  /** Be as the device was that gave `state`, within its own bounds. */
  restore(state) {
    this.taken = state.taken;
    this.wholeFrom = new Map(state.wholeFrom);
    this.windows.forEach((windows, place) => windows.restore(state.stages[place]));
    this.ids = new Map(state.ids.slice(-this.mostIds));
  }

  /** The source of this name. Throws `RefusedError` where the bundle has none. */
  source(name) {
    const found = this.plan.sources.get(name);
    if (found) return found;
    const known = [...this.plan.sources.keys()].join(", ");
    throw new RefusedError("not_json", `an event is of a source of this bundle, ${known}; got '${name.slice(0, 40)}'`);
  }

  /** Take an event into the windows over its source. */
  add(event) {
    this.taken += 1;
    if (!this.wholeFrom.has(event.source)) this.wholeFrom.set(event.source, event.time);
    for (const windows of this.windows) {
      if (windows.stage.source === event.source) windows.add(windows.key(event.columns), event.time, event.columns);
    }
  }

  remember(id, place) {
    this.ids.delete(id); // the newest stand last
    this.ids.set(id, place);
    if (this.ids.size > this.mostIds) this.ids.delete(this.ids.keys().next().value);
  }

  /** What was said of an event that comes once more. */
  async again(event, place) {
    if (event.source !== this.plan.spine) return null;
    const record = this.store && place !== NOWHERE ? await this.store.at(place) : undefined;
    if (!record) return write({ event_id: event.id, event_time: BigInt(event.time), repeated: true });
    const own = parse(record.own);
    return said(event, own.get("prediction"), own.get("unscorable"));
  }

  /** A prediction as it is on `predictions.<service>`, with a receipt; it has no place in Kafka. */
  async predict(event, arrivedAt) {
    const [features, complete] = this.features(event);
    const inputs = this.inputs(event, features);
    const featuredAt = this.clock();
    const [score, outputs] = await this.session.score(inputs);
    const { model, digest } = this.plan;
    const prediction = {
      event_id: event.id,
      event_time: BigInt(event.time),
      score,
      receipt: {
        origin: null,
        plan: digest.slice(0, 12),
        model: model.name,
        version: BigInt(model.version),
        sha256: model.sha256,
        inputs: Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, finite(value)])),
        batch_as_of: {},
        complete,
        arrived_at: BigInt(arrivedAt),
        featured_at: BigInt(featuredAt),
        scored_at: BigInt(this.clock()),
      },
    };
    return model.others.length ? { ...prediction, outputs } : prediction;
  }
}

function said(event, prediction, detail) {
  return write(prediction ?? { event_id: event.id, event_time: BigInt(event.time), refused: "unscorable", detail });
}

function idOf(event) {
  return `${event.source}\t${event.id}`;
}
