// The weather: what GitHub does on a bad day, for the next N requests that match. Faults meet API and git requests,
// never the control API.

const SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";

/** Named faults and the answers GitHub gives in them. `retry_after` is in seconds. */
const NAMED = {
  "secondary-rate-limit": ({ retry_after = 1 }) => ({
    status: 403,
    headers: { "retry-after": String(retry_after) },
    body: {
      message: SECONDARY,
      documentation_url: "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api",
    },
  }),
  "primary-rate-limit": ({ retry_after = 1 }) => ({
    status: 403,
    headers: {
      "x-ratelimit-limit": "5000",
      "x-ratelimit-remaining": "0",
      "x-ratelimit-used": "5000",
      "x-ratelimit-reset": String(Math.ceil(Date.now() / 1000) + retry_after),
      "x-ratelimit-resource": "core",
    },
    body: { message: "API rate limit exceeded for installation.", documentation_url: "https://docs.github.com/rest" },
  }),
};

export class Faults {
  #active = [];
  #next = 1;

  /**
   * @param {object} fault `{method?, path?, times?, status?, headers?, body?, kind?, retry_after?, delay_ms?, drop?}`;
   *   `drop` is "before" (nothing was done) or "after" (the write was applied, the answer never arrived)
   */
  add(fault) {
    const known = ["method", "path", "times", "status", "headers", "body", "kind", "retry_after", "delay_ms", "drop"];
    const unknown = Object.keys(fault).filter((key) => !known.includes(key));
    if (unknown.length) throw new RangeError(`unknown fault member '${unknown[0]}'; known: ${known.join(", ")}`);
    if (fault.kind && !NAMED[fault.kind]) throw new RangeError(`unknown kind; known: ${Object.keys(NAMED).join(", ")}`);
    if (fault.drop && !["before", "after"].includes(fault.drop)) throw new RangeError("drop is 'before' or 'after'");
    const effect = fault.status || fault.kind || fault.delay_ms || fault.drop;
    if (!effect) throw new RangeError("a fault needs status, kind, delay_ms or drop");
    const row = { id: this.#next++, times: 1, hits: 0, ...fault, pattern: fault.path ? new RegExp(fault.path) : null };
    this.#active.push(row);
    return describe(row);
  }

  /** Takes one use of the first fault that matches. */
  take(method, path) {
    const index = this.#active.findIndex(
      (row) => (!row.method || row.method === method) && (!row.pattern || row.pattern.test(path)),
    );
    if (index < 0) return undefined;
    const row = this.#active[index];
    row.hits++;
    if (row.hits >= row.times) this.#active.splice(index, 1);
    const answer = row.kind ? NAMED[row.kind](row) : row.status ? plainAnswer(row) : undefined;
    return { id: row.id, delayMs: row.delay_ms ?? 0, drop: row.drop, answer };
  }

  list() {
    return this.#active.map(describe);
  }

  clear() {
    this.#active.length = 0;
  }
}

function plainAnswer({ status, headers = {}, body, retry_after }) {
  const retry = retry_after === undefined ? {} : { "retry-after": String(retry_after) };
  return { status, headers: { ...retry, ...headers }, body: body ?? { message: `fault: ${status}` } };
}

function describe({ pattern: _pattern, ...row }) {
  return row;
}
