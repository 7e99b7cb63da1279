// A dialog of a panel: one at a time, closed by Escape or its button; what opened it has the focus again.

import { el } from "./dom.js";

let open = null;

/** Open a dialog; gives the element to draw in, which is emptied. Another one that is open closes. */
export function opened(title, label = title) {
  closed();
  const body = el("div", { class: "body" });
  const close = el("button", { type: "button", onclick: () => closed() }, "Close");
  open = el("dialog", { class: "detail", "aria-label": label }, el("h2", {}, title), body, el("p", { class: "actions" }, close));
  open.addEventListener("close", (event) => event.target.remove());
  document.body.append(open);
  open.showModal();
  return body;
}

/** Close the dialog that is open, if there is one. */
export function closed() {
  open?.close();
  open = null;
}
