// On-demand functions: those of `functions.js`, which the export made of the project's, called with columns of one value.

import { EdgeError, UnscorableError } from "./errors.js";
import { typed } from "./events.js";

/** The functions, by view, of the bundle in a folder. */
export async function load(folder, views) {
  if (!views.length) return new Map();
  const { functions } = await import(new URL("functions.js", folder));
  const missing = views.find(({ view }) => !functions.has(view));
  if (missing) throw new EdgeError(`functions.js has a function for each on-demand view; got none for ${missing.view}; export the model again`);
  return functions;
}

/** The view's features of one event, by full name, are put into `found`. Throws `UnscorableError` where the function fails on it. */
export function call(view, given, event, found) {
  const columns = new Map(view.event_inputs.map((column) => [column.name, [typed(column, event[column.name])]]));
  for (const [seen, full] of view.feature_inputs) columns.set(seen, [found[full]]);
  let made;
  try {
    made = given(columns);
    for (const output of view.outputs) found[`${view.view}__${output}`] = made.get(output)[0];
  } catch (error) { // the user's code: it may throw anything
    throw new UnscorableError(`on-demand view '${view.view}': ${error.message}`);
  }
  for (const output of view.outputs) {
    const value = found[`${view.view}__${output}`];
    if (value !== null && !["number", "bigint", "boolean"].includes(typeof value)) {
      throw new UnscorableError(`on-demand view '${view.view}': ${view.view}__${output} is a number or None; got ${typeof value}`);
    }
  }
}
