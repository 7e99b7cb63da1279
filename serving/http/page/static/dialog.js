// A dialog of a panel: one at a time, closed by Escape or its button; what opened it has the focus again.

import { el } from "./dom.js";
import { again } from "./focus.js";

let open = null;
let opener = () => null;

/** Open a dialog; gives the element to draw in, which is emptied. Another one that is open closes; what opened that has the focus in the end. */
export function opened(title, label = title) {
  if (!open?.open) opener = openerNow();
  closed();
  const body = el("div", { class: "body" });
  const close = el("button", { type: "button", onclick: () => closed() }, "Close");
  open = el("dialog", { class: "detail", "aria-label": label }, el("h2", {}, title), body, el("p", { class: "actions" }, close));
  open.addEventListener("close", (event) => {
    event.target.remove();
    if (!open?.open && document.activeElement === document.body) opener()?.focus({ preventScroll: true });
  });
  document.body.append(open);
  open.showModal();
  return body;
}

/** What finds the element that has the focus, also once its panel was drawn anew; where it is gone, what can have the focus there. */
function openerNow() {
  const one = document.activeElement;
  const panel = one?.closest("section");
  if (!panel) return () => null;
  const found = again(panel, one);
  return () => found() ?? panel.querySelector("button:not(:disabled), select, [tabindex='0']");
}

/** Close the dialog that is open, if there is one. */
export function closed() {
  open?.close();
  open = null;
}
