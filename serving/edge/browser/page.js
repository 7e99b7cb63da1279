// The example page: an event or a file of them in, predictions out, and the outbox to be published. Its address may have the runner's
// options: ?state=till-7&rows=10000&keys=10000&ids=10000&wholeFrom=ever&saveEvery=10000&sync=true

import { lines } from "./lines.js";
import { open } from "./runner.js";

const SHOWN = 50; // lines
const READ = {
  state: String,
  ...Object.fromEntries(["rows", "keys", "ids", "saveEvery"].map((name) => [name, Number])),
  wholeFrom: (value) => (/^\d+$/.test(value) ? Number(value) : value),
  sync: (value) => value === "true",
};
const on = (id) => document.getElementById(id);
const status = on("status");

function options() {
  const found = { state: "page" };
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (!Object.hasOwn(READ, name)) throw new Error(`the page's options are ${Object.keys(READ).join(", ")}; got ${name}`);
    found[name] = READ[name](value);
  }
  return found;
}

function say(text, failed = false) {
  status.textContent = text;
  status.classList.toggle("failed", failed);
}

async function tried(what) {
  try {
    await what();
  } catch (error) {
    say(`error: ${error.message}`, true);
  }
}

function show(line) {
  on("said").hidden = false;
  const item = document.createElement("div");
  item.textContent = line;
  on("lines").prepend(item);
  while (on("lines").childElementCount > SHOWN) on("lines").lastChild.remove();
}

async function showOutbox(runner) {
  const rows = (await runner.outbox()).map((file) => {
    const row = document.createElement("tr");
    const texts = [file.name, `${file.events} events`, file.closed ? "closed" : "open"];
    for (const text of texts) row.insertCell().textContent = text;
    if (file.closed) row.insertCell().append(button("Download", () => download(runner, file.name)), button("Remove", () => remove(runner, file.name)));
    return row;
  });
  on("files").replaceChildren(...rows);
}

function button(text, pressed) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", () => tried(pressed));
  return made;
}

async function download(runner, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await runner.file(name));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function remove(runner, name) {
  if (!confirm(`Remove ${name}? Once it is published it is no longer needed here.`)) return;
  await runner.remove(name);
  await showOutbox(runner);
}

async function takeFile(runner, file, fill) {
  let [taken, refused] = [0, 0];
  for await (const [source, text] of lines(file.stream(), runner.plan.spine)) {
    const said = await (fill ? runner.fill(text, source) : runner.take(text, source));
    taken += 1;
    if (fill) refused += said !== null;
    else if (said !== null) show(said);
    if (taken % 100 === 0) say(`${taken} events of ${file.name}`);
  }
  await runner.save();
  say(fill ? `${taken - refused} events fill the windows, ${refused} were refused` : `${taken} events of ${file.name} were taken`);
}

function form(id, runner, submitted) {
  on(id).hidden = false;
  on(id).addEventListener("submit", async (event) => {
    event.preventDefault();
    const press = on(id).querySelector("button");
    press.disabled = true;
    await tried(submitted);
    await tried(() => showOutbox(runner));
    press.disabled = false;
  });
}

async function start() {
  const runner = await open(options());
  const kept = (await navigator.storage?.persist?.()) ? "kept until you remove it" : "kept while the browser has room";
  const { vectors, values } = runner.replayed;
  say(`${vectors} golden vectors, ${values} values of windows: all as they should be. State and outbox are ${kept}.`);
  on("source").replaceChildren(...[...runner.plan.sources.keys()].map((name) => new Option(name, name, false, name === runner.plan.spine)));
  form("one", runner, async () => show((await runner.take(on("event").value.trim(), on("source").value)) ?? "it is in the windows"));
  form("many", runner, () => takeFile(runner, on("file").files[0], on("fill").checked));
  on("outbox").hidden = false;
  on("save").addEventListener("click", () => tried(() => runner.save().then(() => showOutbox(runner))));
  await showOutbox(runner);
  window.runner = runner; // for the console
}

tried(start);
