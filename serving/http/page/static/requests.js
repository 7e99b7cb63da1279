// Requests to `headrace serve`, with the token that this tab has; where one is wanted, the page asks for it.

const KEY = "headrace.token";

/** A request that was refused; the text is the reply's own. */
export class RefusedError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Nothing replied. */
export class NoReplyError extends Error {}

/** The headers that bear the token, if there is one. */
export function bearing(headers = {}) {
  const token = sessionStorage.getItem(KEY);
  return token ? { ...headers, authorization: `Bearer ${token}` } : headers;
}

/**
 * A request; gives {status, etag, body}, of which `body` is what the JSON says. Raises RefusedError for what is refused, NoReplyError where nothing
 * replies. Where a token is wanted (401), or one with another scope (403), the person is asked for it, and the request is made again.
 */
export async function request(path, { etag = null, method = "GET", body = null } = {}) {
  for (;;) {
    const used = sessionStorage.getItem(KEY);
    const response = await reply(path, { etag, method, body });
    if (response.status === 304) return { status: 304, etag, body: null };
    if (response.ok) return { status: response.status, etag: response.headers.get("etag"), body: await response.json() };
    const why = (await response.json().catch(() => ({}))).detail ?? `${path} gave status ${response.status}`;
    if ((response.status === 401 || response.status === 403) && (await wanted(why, used))) continue;
    throw new RefusedError(response.status, why);
  }
}

async function reply(path, { etag, method, body }) {
  const headers = bearing({ ...(etag ? { "if-none-match": etag } : {}), ...(body ? { "content-type": "application/json" } : {}) });
  try {
    return await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new NoReplyError(`${path} gave no reply`);
  }
}

let asking = null;
let refused = false;

/** Ask for a token, once for all who want one; gives whether there is another than `used` now. */
function wanted(why, used) {
  if (sessionStorage.getItem(KEY) !== used) return Promise.resolve(true);
  if (refused) return Promise.resolve(false);
  asking ??= new Promise((done) => {
    const dialog = document.getElementById("token");
    const text = document.getElementById("token-text");
    document.getElementById("token-why").textContent = why;
    text.value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      asking = null;
      const token = text.value.trim();
      const given = dialog.returnValue === "use" && token !== "";
      text.value = "";
      if (given) sessionStorage.setItem(KEY, token);
      refused = !given;
      done(given);
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

/** Let the person be asked again: what wants a token now is something that they did. */
export function askForTokenAgain() {
  refused = false;
}
