// The folder that `headrace export-edge` writes: its files, held against the manifest before any of them is used.

import { EdgeError } from "./errors.js";
import * as golden from "./golden.js";
import { RUNTIME, Session, WASM } from "./model.js";
import * as onDemand from "./on_demand.js";
import * as plans from "./plan.js";

const FORMAT = 1;
const [MANIFEST, PLAN, MODEL, GOLDEN] = ["manifest.json", "plan.json", "model.onnx", "golden.jsonl"];
const OTHERS = /\.(py|md)$/; // what only the Python runner and people read

/**
 * The bundle in the folder with this address: its plan, model and functions; `check` replays the golden vectors. `id` are the
 * first 12 hex digits of plan.json's and model.onnx's sha256: what a saved state belongs to. Throws `EdgeError`.
 */
export async function read(folder) {
  if (!isSecureContext) {
    throw new EdgeError(`a page that runs a bundle has a secure context; got ${location.origin}; serve it with https, or from localhost`);
  }
  const sums = await listed(folder);
  const files = new Map(await Promise.all([...sums].map(async ([name, sha256]) => [name, await verified(folder, name, sha256)])));
  const text = (name) => new TextDecoder("utf-8", { fatal: true }).decode(files.get(name));
  const plan = plans.read(text(PLAN));
  const session = await Session.load(folder, files, MODEL, plan.model);
  const functions = await onDemand.load(folder, plan.on_demand);
  const vectors = text(GOLDEN);
  return {
    id: `${sums.get(PLAN).slice(0, 12)}-${sums.get(MODEL).slice(0, 12)}`,
    plan,
    session,
    functions,
    check: () => golden.replay(plan, session, functions, vectors),
  };
}

/** The sha256 of each file that a browser uses, by its path within the folder. */
async function listed(folder) {
  const [bytes, address] = await fetched(folder, MANIFEST);
  let files;
  try {
    const manifest = JSON.parse(new TextDecoder().decode(bytes));
    if (manifest.format !== FORMAT) throw new EdgeError(`a bundle has format ${FORMAT}; got ${manifest.format}; export the model again`);
    files = Object.entries(manifest.files).map(([name, its]) => [name, String(its.sha256)]);
  } catch (error) {
    if (error instanceof EdgeError) throw error;
    throw new EdgeError(`a ${MANIFEST} has the sha256 of each file; ${address} has not; copy the whole folder again`);
  }
  const used = new Map(files.filter(([name]) => !OTHERS.test(name)));
  const outside = [...used.keys()].find((name) => name.startsWith("/") || name.includes(":") || name.split("/").includes(".."));
  if (outside) throw new EdgeError(`a bundle's files are in its folder; its ${MANIFEST} names '${outside.slice(0, 80)}'; export the model again`);
  const missing = [PLAN, MODEL, GOLDEN].find((name) => !used.has(name));
  if (missing) throw new EdgeError(`a ${MANIFEST} names all files of a bundle; it lacks ${missing}; copy the whole folder again`);
  if (!used.has(RUNTIME) || !used.has(WASM)) {
    throw new EdgeError("a page scores with onnxruntime-web; this bundle has none; export the model with --runner browser, where npm is");
  }
  return used;
}

async function verified(folder, name, sha256) {
  const [content] = await fetched(folder, name);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const came = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (came === sha256) return content;
  throw new EdgeError(
    `a bundle's files never change; ${name} has sha256 ${came.slice(0, 12)}…, the manifest ${sha256.slice(0, 12)}…; copy the folder again`,
  );
}

async function fetched(folder, name) {
  const address = new URL(name, folder);
  const advice = "serve the whole folder again";
  let response;
  try {
    response = await fetch(address);
  } catch (error) {
    throw new EdgeError(`a bundle has the files of its manifest; ${address}: ${error.message}; ${advice}`);
  }
  if (!response.ok) throw new EdgeError(`a bundle has the files of its manifest; ${address}: ${response.status}; ${advice}`);
  return [new Uint8Array(await response.arrayBuffer()), address];
}
