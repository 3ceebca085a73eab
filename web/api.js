// bo-server's HTTP API and its feed.

/** Asks; throws an Error with the problem's detail. */
export async function call(method, path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  if (method === "POST") headers["Idempotency-Key"] = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.status === 204) return null;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail ?? response.statusText);
  return answer;
}

/** All pages of a list. */
export async function all(path) {
  const items = [];
  let cursor = null;
  do {
    const mark = path.includes("?") ? "&" : "?";
    const page = await call("GET", `${path}${mark}limit=500${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor !== null);
  return items;
}

/** Follows a dispatcher's feed for ever; after a break it goes on behind the last event it has seen. */
export class Feed {
  #socket = null;
  #last = null;
  #pauseMs = 500;
  #timer = 0;

  constructor(dispatcher, onEvent, onState) {
    this.dispatcher = dispatcher;
    this.onEvent = onEvent;
    this.onState = onState;
    this.#open();
  }

  #open() {
    this.onState("connecting");
    const after = this.#last === null ? "" : `&after=${this.#last}`;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/v1/events?dispatcher_id=${this.dispatcher}${after}`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#pauseMs = 500;
      this.onState("up");
    };
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.id !== undefined) this.#last = event.id;
      this.onEvent(event);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.onState("down");
      this.#timer = setTimeout(() => this.#open(), this.#pauseMs);
      this.#pauseMs = Math.min(this.#pauseMs * 2, 10000);
    };
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}
