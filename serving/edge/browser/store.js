// State and outbox in the browser's own database, which outlive a reload and a kill.
//
// Every event that was taken is kept as it came, with its prediction, before the prediction is given out; windows and the ids that
// are known are kept as a whole, in one transaction with the number of the outbox's next files:
//
//   outbox   {n: 41, number: 3, source: "orders", event: "{…}", own: "{…}"}     by n, the order in which events were taken, and by file
//   state    {format: 1, bundle: "…", outbox: 4, device: …}                     what is in files of number 4 is taken again
//
// A file of the outbox is all events of a source with one number, a line each, in the form that `headrace publish` sends.

import { EdgeError } from "./errors.js";
import { OWN } from "./events.js";

const FORMAT = 1;
const SCHEMA = 1; // of the database
const STATE = "state";
const FILE = "file"; // the index of an event's file, [number, source]
const NAME = /^(.+)-(\d{8,})\.jsonl$/;

/** The store called `name`. Throws `EdgeError` where another page has it, and where its state is of another bundle. */
export async function open(name, bundle, sync) {
  const release = await alone(name);
  try {
    const database = await opened(name);
    const state = await result(database.transaction(STATE).objectStore(STATE).get(STATE));
    checked(name, bundle, state);
    return [new Store(database, bundle, sync, release, await first(database, state)), state];
  } catch (error) {
    release();
    throw error;
  }
}

class Store {
  constructor(database, bundle, sync, release, number) {
    this.number = number; // of the files that are written
    this.database = database;
    this.bundle = bundle;
    this.release = release;
    this.durability = sync ? "strict" : "relaxed"; // strict: it outlives a loss of power
  }

  /** Add an event; when this is done, the browser has it. */
  async append(n, source, event, own) {
    const transaction = this.begun(["outbox"], "readwrite", this.durability);
    transaction.objectStore("outbox").add({ n, number: this.number, source, event, own });
    await done(transaction);
    return n;
  }

  /** The event that was taken as the n-th; undefined where its file was removed. */
  at(n) {
    return result(this.begun(["outbox"], "readonly").objectStore("outbox").get(n));
  }

  /** The events of files from this number on, in the order in which they were taken. */
  async since(number) {
    const found = await result(this.index().getAll(IDBKeyRange.lowerBound([number])));
    return found.sort((one, other) => one.n - other.n);
  }

  /** Keep the state of a device, and go on with files of the next number, if those of this one have anything. */
  async save(device) {
    const transaction = this.begun(["outbox", STATE], "readwrite", "strict");
    const written = await result(transaction.objectStore("outbox").index(FILE).count(IDBKeyRange.lowerBound([this.number])));
    const number = this.number + (written ? 1 : 0);
    transaction.objectStore(STATE).put({ format: FORMAT, bundle: this.bundle, outbox: number, device }, STATE);
    await done(transaction);
    this.number = number;
  }

  /** The files there are: `{name, source, number, events, closed}`. */
  async files() {
    const places = [];
    await walked(this.index().openKeyCursor(null, "nextunique"), (cursor) => places.push(cursor.key));
    const counts = await Promise.all(places.map((place) => result(this.index().count(place))));
    return places.map(([number, source], at) => {
      const name = `${source}-${String(number).padStart(8, "0")}.jsonl`;
      return { name, source, number, events: counts[at], closed: number < this.number };
    });
  }

  /** A file, as `headrace publish` takes it. */
  async file(name) {
    const records = await result(this.index().getAll(placeOf(name)));
    return new File(records.map(line), name, { type: "application/x-ndjson" });
  }

  /** Remove a file that was published. Throws `EdgeError` for one that is not closed. */
  async remove(name) {
    const place = placeOf(name);
    if (place[0] >= this.number) {
      throw new EdgeError(`a file of the outbox is removed once a saved state has closed it; got ${name}; save first`);
    }
    const transaction = this.begun(["outbox"], "readwrite", "strict");
    await walked(transaction.objectStore("outbox").index(FILE).openCursor(place), (cursor) => cursor.delete());
    await done(transaction);
  }

  close() {
    this.database.close();
    this.release();
  }

  index() {
    return this.begun(["outbox"], "readonly").objectStore("outbox").index(FILE);
  }

  /** A transaction. Throws `EdgeError` where the browser has closed the database. */
  begun(stores, mode, durability = "default") {
    try {
      return this.database.transaction(stores, mode, { durability });
    } catch (error) {
      throw kept(error);
    }
  }
}

/** The number and the source of a file. Throws `EdgeError`. */
function placeOf(name) {
  const match = NAME.exec(name);
  if (!match) throw new EdgeError(`a file of the outbox is SOURCE-NUMBER.jsonl; got ${name}; outbox() lists them`);
  return [Number(match[2]), match[1]];
}

/** An event with what the runner adds, as a line: a break of lines is white space in JSON, and nowhere within a text. */
function line({ event, own }) {
  return `${event.trim().slice(0, -1).trimEnd().replaceAll("\n", " ")},"${OWN}":${own}}\n`;
}

/** Until the function that is given back is called, no other page of this origin has the store. */
async function alone(name) {
  const [refused, release] = await new Promise((told, failed) => {
    const held = (lock) => (lock === null ? told([true]) : new Promise((freed) => told([false, freed])));
    navigator.locks.request(`headrace-edge ${name}`, { ifAvailable: true }, held).catch((error) => failed(unlocked(error)));
  });
  if (refused) throw new EdgeError(`a state has one runner; another page has '${name}'; close it, or name another state`);
  return release;
}

function unlocked(error) {
  return new EdgeError(`a state has one runner, for which the browser has a lock; it says ${error.name}: ${error.message}; open without a state`);
}

function opened(name) {
  const request = indexedDB.open(`headrace-edge ${name}`, SCHEMA);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("outbox", { keyPath: "n" }).createIndex(FILE, ["number", "source"]);
    request.result.createObjectStore(STATE);
  };
  return result(request);
}

function checked(name, bundle, state) {
  if (state && state.format !== FORMAT) {
    throw new EdgeError(`a state has format ${FORMAT}; '${name}' has ${state.format}; run the bundle that wrote it, or name another`);
  }
  if (state && state.bundle !== bundle) {
    throw new EdgeError(
      `a state is of the bundle that wrote it; '${name}' is of ${state.bundle}, this is ${bundle}; name another state, and fill its windows`,
    );
  }
}

/** The number of the files that are written next: those of a state that was not saved since go on. */
async function first(database, state) {
  const cursor = await result(database.transaction("outbox").objectStore("outbox").index(FILE).openKeyCursor(null, "prev"));
  return Math.max(state?.outbox ?? 1, cursor?.key[0] ?? 1);
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(kept(request.error));
  });
}

function done(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(kept(transaction.error));
  });
}

function walked(request, visit) {
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(kept(request.error));
    request.onsuccess = () => {
      if (request.result === null) {
        resolve();
        return;
      }
      visit(request.result);
      request.result.continue();
    };
  });
}

function kept(error) {
  const said = `${error?.name ?? "it was ended"}: ${error?.message ?? ""}`;
  return new EdgeError(`the runner keeps its events in the browser's database, which says ${said}; make room, and load the page again`);
}
