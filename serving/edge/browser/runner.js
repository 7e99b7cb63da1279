// The runner of a bundle in a browser: windows and model in a page, with ONNX Runtime for WebAssembly and nothing else.
//
//   import { open } from "./browser/runner.js";
//   const runner = await open({ state: "till-7" });
//   const line = await runner.take('{"id": 1, …}');        // its prediction, a line of JSON
//
// The modules are those of the Python runner, and keep the same rules, those of docs/windows.md; each names the ones that it keeps.

import * as bundles from "./bundle.js";
import { Device, EVER, FIRST } from "./device.js";
import { EdgeError } from "./errors.js";
import * as stores from "./store.js";

export { EdgeError };

const DEFAULTS = {
  folder: new URL("..", import.meta.url), // of the bundle
  state: null, // the name of what is kept; null: nothing outlives the page
  rows: 10_000, // a key that windows keep at most
  keys: 10_000, // that windows keep at most
  ids: 10_000, // newest events that are known when repeated
  wholeFrom: FIRST, // from when on no event is missing: "first" event, "ever" (there were none before), or UTC milliseconds
  saveEvery: 10_000, // events between two saved states
  sync: false, // wait for the disk after each event: it outlives a loss of power
};
const LONGEST = 1_048_576; // characters of an event: a longer one Kafka would not take either

/** A runner, once its bundle's files are the manifest's and the golden vectors are as they should be. Throws `EdgeError`. */
export async function open(options = {}) {
  const chosen = checked({ ...DEFAULTS, ...options });
  const bundle = await bundles.read(chosen.folder);
  const replayed = await bundle.check();
  if (chosen.state === null) return new Runner(bundle.plan, device(bundle, chosen), undefined, replayed, chosen);
  const [store, saved] = await stores.open(chosen.state, bundle.id, chosen.sync);
  try {
    const restored = device(bundle, { ...chosen, wholeFrom: FIRST, store });
    if (saved) restored.restore(saved.device);
    const records = await store.since(saved?.outbox ?? 1);
    for (const record of records) restored.retake(record);
    if (!saved) await store.save(restored.save()); // from the first moment on it is of this bundle
    const isUnsaid = restored.hear(chosen.wholeFrom);
    return new Runner(bundle.plan, restored, store, replayed, chosen, records.length, isUnsaid);
  } catch (error) {
    store.close();
    throw error;
  }
}

class Runner {
  constructor(plan, device, store, replayed, { saveEvery }, unsaved = 0, isUnsaid = false) {
    this.plan = plan;
    this.replayed = replayed; // {vectors, values} of the golden vectors
    this.device = device;
    this.store = store;
    this.saveEvery = saveEvery;
    this.unsaved = unsaved; // events, also of pages before that ended without a saved state
    this.isUnsaid = isUnsaid; // whether the saved state does not know yet what `wholeFrom` says
    this.last = Promise.resolve();
  }

  /** What is said of an event, a line of JSON; null of one that is only in windows. `source`: the spine, where none is given. */
  async take(text, source = this.plan.spine) {
    checkTexts(text, source);
    return this.alone(() => this.taken(text, source, false));
  }

  /**
   * Take an earlier event into the windows, without a prediction; gives why it is refused, or null. It is in no outbox: what fills
   * windows is kept by the next saved state.
   */
  async fill(text, source = this.plan.spine) {
    checkTexts(text, source);
    return this.alone(() => this.taken(text, source, true));
  }

  /** Keep windows and known ids, and close the files of the outbox. */
  async save() {
    this.kept();
    return this.alone(() => this.saved());
  }

  /** The files of the outbox: `{name, source, number, events, closed}`. */
  async outbox() {
    return this.kept().files();
  }

  /** A file of the outbox, as `headrace publish` takes it. */
  async file(name) {
    return this.kept().file(name);
  }

  /** Remove a file of the outbox that was published. */
  async remove(name) {
    return this.kept().remove(name);
  }

  /** Keep what is there, and let another page have the state. */
  async close() {
    try {
      if (this.store) await this.save();
    } finally {
      this.store?.close();
      this.last = Promise.reject(new EdgeError("a runner that was closed takes nothing; open another"));
      this.last.catch(() => {});
    }
  }

  /** One after the other, in the order of the calls; after a failure of the database none, for windows and outbox may differ. */
  alone(what) {
    const result = this.last.then(what);
    this.last = result;
    result.catch(() => {});
    return result;
  }

  async taken(text, source, fill) {
    if (this.isUnsaid && !fill) await this.saved(); // with the windows that were filled before the first prediction
    const said = await this.device.take(source, text.length > LONGEST ? text.slice(0, LONGEST) : text, fill);
    this.unsaved += 1;
    if (this.store && this.unsaved >= this.saveEvery) await this.saved();
    return said;
  }

  async saved() {
    await this.store.save(this.device.save());
    this.unsaved = 0;
    this.isUnsaid = false;
  }

  kept() {
    if (this.store) return this.store;
    throw new EdgeError("what a runner keeps has a name; got no state; open the runner with one");
  }
}

function checkTexts(...texts) {
  if (!texts.every((text) => typeof text === "string")) {
    throw new EdgeError(`an event and its source are texts; got ${texts.map((text) => typeof text).join(", ")}; write JSON.stringify(event)`);
  }
}

function device(bundle, chosen) {
  return new Device(bundle.plan, bundle.session, bundle.functions, chosen);
}

function checked(options) {
  const unknown = Object.keys(options).find((name) => name !== "clock" && !Object.hasOwn(DEFAULTS, name));
  if (unknown) throw new EdgeError(`a runner's options are ${Object.keys(DEFAULTS).join(", ")}; got ${unknown}`);
  for (const name of ["rows", "keys", "ids", "saveEvery"]) {
    if (!Number.isSafeInteger(options[name]) || options[name] < 1) {
      throw new EdgeError(`${name} is a number of 1 or more; got ${options[name]}`);
    }
  }
  if (![FIRST, EVER].includes(options.wholeFrom) && !(Number.isSafeInteger(options.wholeFrom) && options.wholeFrom >= 0)) {
    throw new EdgeError(`wholeFrom is '${FIRST}', '${EVER}' or UTC milliseconds; got ${options.wholeFrom}`);
  }
  if (options.state !== null && (typeof options.state !== "string" || !options.state)) {
    throw new EdgeError(`state is a name, or null where nothing is kept; got '${options.state}'`);
  }
  const folder = new URL(options.folder, location.href);
  if (!folder.pathname.endsWith("/")) folder.pathname += "/"; // else its files would be those beside it
  return { ...options, folder };
}
