// Every request anyone made, and what was wrong with those the App made. Tests read it through the control API.
const KEPT = 5_000;
const BODY_KEPT = 512 * 1024;

export class RequestLog {
  #entries = [];
  #next = 1;

  record({ method, path, query, caller, body }) {
    const text = body?.length ? body.subarray(0, BODY_KEPT).toString("utf8") : null;
    const entry = {
      id: this.#next++,
      at: new Date().toISOString(),
      method,
      path,
      query,
      caller,
      body: parseOrText(text),
      status: null,
      fault: null,
      violations: [],
    };
    this.#entries.push(entry);
    if (this.#entries.length > KEPT) this.#entries.shift();
    return entry;
  }

  list({ method, path, since = 0 } = {}) {
    const pattern = path ? new RegExp(path) : undefined;
    return this.#entries.filter(
      (entry) => entry.id > since && (!method || entry.method === method) && (!pattern || pattern.test(entry.path)),
    );
  }

  violations() {
    return this.#entries.flatMap(({ id, method, path, violations }) =>
      violations.map((violation) => ({ request: id, method, path, ...violation })),
    );
  }

  clear() {
    this.#entries.length = 0;
  }
}

function parseOrText(text) {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
