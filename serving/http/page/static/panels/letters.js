import { askForTokenAgain, request } from "../requests.js";
import { el, mark, number, table, time } from "../dom.js";

export const id = "letters";
export const title = "Dead letters";
export const every = 15;
export const wide = true;

const MEANINGS = {
  empty: "the record has no value",
  not_json: "not one JSON object",
  wrong_type: "a value does not fit its column",
  missing_key: "a key or the event id is absent",
  missing_time: "the event time is absent",
  time_out_of_bounds: "before 1970, or ahead of the clock",
  not_finite: "NaN or an infinity",
  too_large: "longer than Kafka takes",
  unscorable: "a model could not use it",
};

let chosen = new Set();
let told = new Map();
let replaying = false;
let refused = null;
let redraw = null;

/** Another service, or nothing to show: nothing is chosen. */
export function leave() {
  chosen = new Set();
  told = new Map();
  refused = null;
}

export function draw(element, data, { service, again }) {
  const here = new Set(data.letters.map(placeOf));
  chosen = new Set([...chosen].filter((place) => here.has(place)));
  const button = el("button", { type: "button", class: "main", "data-key": "replay", onclick: () => replay() }, "");
  const said = el("p", { role: "status", class: "hint" });
  // A replay may take longer than it takes until the panel is drawn anew: what is chosen is published once.
  const label = () => {
    button.textContent = chosen.size ? `Replay ${number(chosen.size)} chosen` : "Replay those chosen";
    button.disabled = chosen.size === 0 || replaying;
    said.replaceChildren(...(replaying ? ["replaying"] : refused ? [mark("bad", refused)] : []));
  };
  redraw = label;
  const boxes = [];
  const rows = data.letters.map((one) => {
    const place = placeOf(one);
    const box = el("input", { type: "checkbox", "data-key": place, "aria-label": `Choose the dead letter of ${originOf(one)}`, onchange: () => {
      if (box.checked) chosen.add(place);
      else chosen.delete(place);
      label();
    } });
    box.checked = chosen.has(place);
    boxes.push(box);
    const result = told.get(place);
    const bytes = one.bytes === null ? "its bytes are left out" : `${number(one.bytes)} bytes`;
    return [box, one.reason, one.detail, originOf(one), time(one.arrived_at), el("details", { "data-key": `value ${place}` }, el("summary", {}, bytes), el("pre", {}, one.preview)),
      result ? (result.origin ? mark("good", `again at ${text(result.origin)}`) : mark("bad", result.error)) : ""];
  });
  const all = el("input", { type: "checkbox", "data-key": "all", "aria-label": "Choose all dead letters that are shown", onchange: () => {
    for (const [index, box] of boxes.entries()) {
      box.checked = all.checked;
      if (all.checked) chosen.add(placeOf(data.letters[index]));
      else chosen.delete(placeOf(data.letters[index]));
    }
    label();
  } });

  async function replay() {
    if (replaying) return;
    replaying = true;
    refused = null;
    label();
    askForTokenAgain();
    try {
      const letters = [...chosen].map((place) => place.split(":").map(Number));
      const { body } = await request("v1/page/letters/replay", { method: "POST", body: { service, letters } });
      for (const one of body.replayed) {
        told.set(placeOf(one), one);
        chosen.delete(placeOf(one));
      }
      again();
    } catch (error) {
      refused = error.message;
    } finally {
      replaying = false;
      redraw();
    }
  }

  label();
  const reasons = Object.entries(data.reasons).map(([reason, count]) => el("li", {}, el("strong", {}, `${number(count)} ${reason}`), `: ${MEANINGS[reason] ?? "unknown"}`));
  element.replaceChildren(
    el("ul", { class: "reasons" }, reasons),
    table("Dead letters", [{ name: all }, "reason", "detail", "record", "arrived (UTC)", "value", "replayed"], rows),
    el("p", {}, button),
    said,
    el("p", { class: "hint" }, "A replay publishes the record again, as it was; it helps once the cause is gone. It needs a token with the scope publish. ",
      data.is_all ? "" : "These are the newest; all of them: ", data.is_all ? "" : el("code", {}, "headrace tail dead_letters")),
  );
}

function placeOf(one) {
  return `${one.partition}:${one.offset}`;
}

function originOf(one) {
  return text(one.origin);
}

function text(origin) {
  return `${origin.topic} ${origin.partition}:${origin.offset}`;
}
