// `plan.json`: what the device computes, as `headrace export-edge` writes it.

import { EdgeError } from "./errors.js";
import { Decimal, decimal, halfToEven, parts, ten } from "./numbers.js";

export const FORMAT = 1;

/** The plan in a file, with columns, fill values and lengths as the runner uses them. Throws `EdgeError` for another format. */
export function read(content) {
  const plan = JSON.parse(content);
  if (plan.format !== FORMAT) throw new EdgeError(`a plan has format ${FORMAT}; got ${plan.format}; export the model again`);
  plan.digest = plan.plan; // of the service's plan
  plan.sources = new Map(plan.sources.map((source) => [source.name, source]));
  for (const source of plan.sources.values()) source.byName = new Map(source.columns.map((column) => [column.name, column]));
  for (const stage of plan.windows) {
    const { byName } = plan.sources.get(stage.source);
    for (const feature of stage.features) {
      feature.column = byName.get(feature.column);
      if (feature.fill !== null) feature.fill = typed(feature.fill, feature.gives, feature.column.scale);
    }
    stage.longest = Math.max(...stage.features.map((feature) => feature.window_ms));
    stage.columns = [...new Set(stage.features.map((feature) => feature.column.name))];
  }
  const spine = plan.sources.get(plan.spine);
  for (const view of plan.on_demand) view.event_inputs = view.event_inputs.map((name) => spine.byName.get(name));
  plan.model.columns = plan.model.tensors.flatMap((tensor) => tensor.columns);
  plan.model.outputs = new Map(plan.model.outputs.map((output) => [output.name, output]));
  return plan;
}

/** `decimal(12,2)`. */
export function typeText(column) {
  return column.kind === "decimal" ? `decimal(${column.precision},${column.scale})` : column.kind;
}

/** A fill value as the feature's own type; a decimal is rounded half to even at its scale, as Python's is. */
function typed(fill, kind, scale) {
  if (kind === "float64") return fill;
  if (kind === "bool") return Boolean(fill);
  if (kind !== "decimal") return truncated(fill);
  const [digits, exponent] = decimal(String(fill));
  return new Decimal(atScale(digits, exponent + scale), scale);
}

function truncated(value) {
  const [whole, exponent] = parts(value);
  return exponent < 0 ? whole / (1n << BigInt(-exponent)) : whole << BigInt(exponent);
}

/** digits × 10^exponent as a whole number, half to even. */
function atScale(digits, exponent) {
  return exponent >= 0 ? digits * ten(exponent) : halfToEven(digits, ten(-exponent));
}
