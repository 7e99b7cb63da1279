// The model: ONNX Runtime for WebAssembly, on one thread of the page, fed with what Python's runner feeds.

import { EdgeError, OverflowError, UnscorableError } from "./errors.js";
import { Decimal, nearest, quotient, ten } from "./numbers.js";

/** Where `headrace export-edge` puts the two files of the registry's package. */
export const RUNTIME = "onnxruntime/ort.wasm.bundle.min.mjs";
export const WASM = "onnxruntime/ort-wasm-simd-threaded.wasm";

/** A model that is loaded. */
export class Session {
  /** `files` has the model and the runtime's WebAssembly, whose sha256 are the manifest's. Throws `EdgeError`. */
  static async load(folder, files, name, model) {
    const { default: ort } = await import(new URL(RUNTIME, folder));
    ort.env.wasm.numThreads = 1; // a row is scored in less time than a second thread needs to wake up
    ort.env.wasm.wasmBinary = files.get(WASM);
    ort.env.logLevel = "fatal";
    try {
      const session = await ort.InferenceSession.create(files.get(name), { executionProviders: ["wasm"], logSeverityLevel: 4 });
      return new Session(ort, session, model);
    } catch (error) {
      const said = String(error?.message ?? error).split(/\s+/).join(" ").slice(0, 300);
      throw new EdgeError(
        `the model is ONNX that ONNX Runtime can load; onnxruntime-web ${ort.env.versions.web} says: ${said}; use the Python runner`,
      );
    }
  }

  constructor(ort, session, model) {
    this.ort = ort;
    this.session = session;
    this.model = model;
    this.wanted = [...new Set([model.score[0], ...model.others])];
  }

  /** The score, and the other outputs by name, of one row of inputs by column. Throws `UnscorableError`. */
  async score(values) {
    const fed = {};
    for (const tensor of this.model.tensors) {
      const [type, data] = feed(tensor, tensor.columns.map((name) => values[name]));
      fed[tensor.name] = new this.ort.Tensor(type, data, tensor.matrix ? [1, data.length] : [data.length]);
    }
    let raw;
    try {
      raw = await this.session.run(fed, this.wanted);
    } catch (error) {
      throw new UnscorableError(String(error?.message ?? error).split(/\s+/).join(" ").slice(0, 300));
    }
    const [name, place] = this.model.score;
    const score = Number(plain(raw[name])[place]);
    if (!Number.isFinite(score)) {
      throw new UnscorableError(`model '${this.model.name}' ${this.model.version} gave no finite score`);
    }
    return [score, Object.fromEntries(this.model.others.map((other) => [other, this.other(other, raw[other])]))];
  }

  other(name, raw) {
    const { classes } = this.model.outputs.get(name);
    const values = plain(raw).map(finite);
    return classes.length ? Object.fromEntries(classes.map((one, place) => [String(one), values[place]])) : values[0];
  }
}

/** A tensor's values: whole numbers as BigInt, truths as booleans. */
function plain(tensor) {
  return tensor.type === "bool" ? Array.from(tensor.data, Boolean) : Array.from(tensor.data);
}

/** A feature as a model and a receipt have it: a decimal is the nearest double, or whole where it has no places. */
export function number(value) {
  if (Array.isArray(value)) return value.map(number);
  if (!(value instanceof Decimal)) return value;
  return value.scale ? quotient(value.units, ten(value.scale)) : value.units;
}

/** A value as JSON has it: null for NaN and infinities, as the scorer writes them. */
export function finite(value) {
  return typeof value === "number" && !Number.isFinite(value) ? null : value;
}

const KINDS = {
  float: ["float32", Float32Array, double],
  double: ["float64", Float64Array, double],
  int64: ["int64", BigInt64Array, whole],
  bool: ["bool", Uint8Array, truth],
  string: ["string", Array, (value) => (value === null || typeof value === "string" ? value ?? "" : undefined)],
};

/** A row as the type and the data of a tensor. Throws `UnscorableError` for a value that it does not hold. */
export function feed(tensor, row) {
  const [type, Data, cast] = KINDS[tensor.type];
  const values = row.map((value, place) => {
    const found = cast(value, tensor.columns[place]);
    if (found !== undefined) return found;
    throw new UnscorableError(`a model's input of type ${tensor.type} does not hold ${value} in '${tensor.columns[place]}'`);
  });
  return [type, Data.from(values)];
}

function double(value, name) {
  if (typeof value !== "bigint") return value === null ? NaN : Number(value);
  try {
    return nearest(value);
  } catch (error) {
    if (!(error instanceof OverflowError)) throw error;
    throw new UnscorableError(`${name}: ${error.message}`);
  }
}

/** 3, 3.0 and true are whole; a double of more than 53 bits too. */
function whole(value) {
  const found = typeof value === "number" && Number.isInteger(value) ? BigInt(value) : value === true ? 1n : value === false ? 0n : value;
  return typeof found === "bigint" && BigInt.asIntN(64, found) === found ? found : undefined;
}

function truth(value) {
  return [0, 1, 0n, 1n, false, true].includes(value) ? Number(value) : undefined;
}
