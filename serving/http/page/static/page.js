// The page: a service is chosen, each panel asks for its data by itself, and draws them. A panel that fails is one panel.

import { el, moment } from "./dom.js";
import { NoReplyError, RefusedError, request } from "./requests.js";
import { closed } from "./dialog.js";
import { again } from "./focus.js";

// In the order in which they are shown.
const PANELS = [
  "models",
  "flow",
  "feed",
  "timeline",
  "alarms",
  "drift",
  "scores",
  "calibration",
  "values",
  "performance",
  "challengers",
  "audit",
  "cost",
  "batch",
  "letters",
];

const main = document.getElementById("panels");
const select = document.getElementById("service");
const link = document.getElementById("link");
const frames = [];

/** A panel on the page: its module, its elements, and its timer. */
class Frame {
  constructor(module) {
    this.module = module;
    this.notice = el("p", { class: "notice", role: "status", hidden: true });
    this.body = el("div", { class: "body" });
    this.element = el("section", { id: module.id, class: `panel ${module.wide ? "wide" : ""}`, "aria-labelledby": `${module.id}-title`, "data-state": "waiting" },
      el("h2", { id: `${module.id}-title` }, module.title), this.notice, this.body);
    this.timer = null;
    this.round = 0;
  }

  /** Begin anew, of another service. */
  start(service) {
    this.service = service;
    this.etag = null;
    this.module.leave?.();
    this.body.replaceChildren();
    this.say("waiting", null);
    this.go();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
  }

  /** Ask now; a reply to what was asked before is passed over. */
  go() {
    this.stop();
    this.round += 1;
    this.poll(this.round);
  }

  async poll(round) {
    try {
      const reply = await request(`v1/page/${this.module.id}?service=${encodeURIComponent(this.service)}`, { etag: this.etag });
      if (round !== this.round) return;
      alive(true);
      if (reply.status !== 304) {
        this.etag = reply.etag;
        this.show(reply.body);
      }
    } catch (error) {
      if (round !== this.round) return;
      this.etag = null;
      if (error instanceof NoReplyError) alive(false);
      else this.say("refused", [error instanceof RefusedError ? error.message : `this panel cannot be drawn: ${error.message}`]);
    }
    if (round === this.round && !document.hidden) this.timer = setTimeout(() => this.poll(round), this.module.every * 1000);
  }

  show(reply) {
    if (reply.down) {
      this.say("down", [`${reply.down.source} is down since ${moment(reply.down.since)} UTC: ${reply.down.why}`]);
      return;
    }
    if (reply.empty) {
      this.module.leave?.();
      this.body.replaceChildren();
      const command = reply.empty.command ? el("code", {}, reply.empty.command) : null;
      this.say("empty", [reply.empty.say, ...(command ? [" ", command] : [])]);
      return;
    }
    const restore = kept(this.body);
    this.module.draw(this.body, reply.data, { service: this.service, again: () => { this.etag = null; this.go(); } });
    restore();
    this.say("data", null);
  }

  say(state, parts) {
    this.element.dataset.state = state;
    this.notice.hidden = parts === null;
    this.notice.replaceChildren(...(parts ?? []));
  }
}

/** What a person did in an element that is drawn anew: where the focus was, what was scrolled, what was opened; gives what restores it. */
function kept(element) {
  const focused = element.contains(document.activeElement) ? again(element, document.activeElement) : null;
  const scrolled = [...element.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
  const opened = [...element.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key);
  const keyed = (key) => element.querySelector(`[data-key="${CSS.escape(key)}"]`);
  return () => {
    [...element.querySelectorAll(".scroll")].forEach((one, index) => scrolled[index] && one.scrollTo(...scrolled[index]));
    for (const key of opened) keyed(key)?.setAttribute("open", "");
    focused?.()?.focus({ preventScroll: true });
  };
}

let lost = null;

/** Whether `headrace serve` itself replies. */
function alive(does) {
  if (does) {
    lost = null;
    link.replaceChildren();
    link.className = "";
  } else if (lost === null) {
    lost = Date.now();
    link.className = "notice bad";
    link.replaceChildren(`▲ headrace serve does not reply since ${moment(lost)} UTC; what is shown is of before`);
  }
  document.body.classList.toggle("lost", !does);
}

function choose(service) {
  closed();
  select.value = service;
  history.replaceState(null, "", `#${encodeURIComponent(service)}`);
  document.title = `${service} – Headrace`;
  for (const frame of frames) frame.start(service);
}

async function services() {
  for (;;) {
    try {
      const { body } = await request("v1/page");
      alive(true);
      return body.services;
    } catch (error) {
      if (error instanceof NoReplyError) alive(false);
      else link.replaceChildren(`${error.message}; reload the page to give one`);
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}

async function load(name) {
  try {
    return new Frame(await import(`./panels/${name}.js`));
  } catch (error) {
    main.append(el("section", { id: name, class: "panel", "data-state": "refused" }, el("h2", {}, name), el("p", { class: "notice" }, `this panel cannot be loaded: ${error.message}`)));
    return null;
  }
}

async function begin() {
  const names = await services();
  for (const frame of await Promise.all(PANELS.map(load))) {
    if (!frame) continue;
    frames.push(frame);
    main.append(frame.element);
  }
  select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  select.addEventListener("change", () => choose(select.value));
  choose(names.find((name) => `#${encodeURIComponent(name)}` === location.hash) ?? names[0]);
  document.addEventListener("visibilitychange", () => {
    for (const frame of frames) {
      if (document.hidden) frame.stop();
      else frame.go();
    }
  });
}

begin();
