// What a click asks for, in a dialog: its data, that there are none, or that their source is down.

import { request } from "./requests.js";
import { opened } from "./dialog.js";
import { el, moment } from "./dom.js";

/** Ask for a detail of a panel, and have `draw(body, data)` draw it in a dialog with that title. */
export async function detail(panel, name, parameters, title, draw) {
  const body = opened(title);
  const notice = (said, bad = false) => body.replaceChildren(el("p", { class: `notice ${bad ? "bad" : ""}`, role: "status" }, said));
  notice("reading");
  try {
    const { body: reply } = await request(`v1/page/${panel}/${name}?${new URLSearchParams(parameters)}`);
    if (!body.isConnected) return;
    if (reply.down) notice(`▲ ${reply.down.source} is down since ${moment(reply.down.since)} UTC: ${reply.down.why}`, true);
    else if (reply.empty) notice([reply.empty.say, reply.empty.command].filter(Boolean).join(" "));
    else {
      body.replaceChildren();
      draw(body, reply.data);
    }
  } catch (error) {
    notice(`▲ ${error.message}`, true);
  }
}
