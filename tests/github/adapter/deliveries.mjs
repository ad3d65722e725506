// Webhook deliveries as a GitHub App sees them: signed over the raw bytes, one GUID each, in order, kept for
// `/app/hook/deliveries` and for re-delivery. emulate sends its own with clock-made ids and keeps none for Apps, so
// nothing of its sender is used.
import { createHmac, randomUUID } from "node:crypto";

const TIMEOUT_MS = 10_000; // GitHub gives an App ten seconds and does not retry by itself
const KEPT = 2_000;
const USER_AGENT = "GitHub-Hookshot/0000000";

export class Deliveries {
  #queue = Promise.resolve();
  #records = [];
  #held = [];
  #nextId = 10_000_000_001; // above 2^32: real ids do not fit in 32 bits either
  #mode = "deliver";

  /** @param {{url: string, secret: string, hookId: number}} hook where the App listens */
  constructor(hook) {
    this.hook = hook;
  }

  get mode() {
    return this.#mode;
  }

  /** `deliver`, `hold` (kept until `deliver` again) or `lose` (recorded as failed, never sent: a lost webhook). */
  setMode(mode, { reversed = false } = {}) {
    this.#mode = mode;
    if (mode !== "deliver") return;
    const held = this.#held.splice(0);
    for (const record of reversed ? held.reverse() : held) this.#enqueue(record);
  }

  /** Queues one event; the record's `sent` promise settles when the App has answered (or was never asked). */
  emit({ event, action = null, payload, guid = randomUUID(), redelivery = false }) {
    const record = {
      id: this.#nextId++,
      guid,
      event,
      action,
      redelivery,
      delivered_at: new Date().toISOString(),
      duration: 0,
      status: "pending",
      status_code: 0,
      installation_id: payload.installation?.id ?? null,
      repository_id: payload.repository?.id ?? null,
      body: JSON.stringify(payload),
      response: { headers: {}, payload: "" },
    };
    this.#records.push(record);
    if (this.#records.length > KEPT) this.#records.shift();
    if (this.#mode === "deliver") {
      this.#enqueue(record);
    } else if (this.#mode === "hold") {
      record.status = "held";
      this.#held.push(record);
    } else {
      record.status = "lost";
      record.status_code = 502;
    }
    return record;
  }

  /** Sends a recorded delivery again, as GitHub's "Redeliver" does: same GUID, new id. */
  redeliver(id, { newGuid = false } = {}) {
    const old = this.find(id);
    if (!old) return undefined;
    return this.emit({
      event: old.event,
      action: old.action,
      payload: JSON.parse(old.body),
      guid: newGuid ? randomUUID() : old.guid,
      redelivery: true,
    });
  }

  find(id) {
    return this.#records.find((record) => record.id === Number(id) || record.guid === String(id));
  }

  /** Newest first, as the API lists them. */
  list() {
    return [...this.#records].reverse();
  }

  /** Settles when everything queued so far has been answered. */
  idle() {
    return this.#queue;
  }

  #enqueue(record) {
    record.status = "pending";
    this.#queue = this.#queue.then(() => this.#send(record));
  }

  async #send(record) {
    const started = performance.now();
    record.delivered_at = new Date().toISOString();
    record.request_headers = this.#headers(record);
    try {
      const response = await fetch(this.hook.url, {
        method: "POST",
        headers: record.request_headers,
        body: record.body,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      record.status_code = response.status;
      record.status = response.ok ? "OK" : `Invalid HTTP Response: ${response.status}`;
      record.response = { headers: Object.fromEntries(response.headers), payload: await response.text() };
    } catch (error) {
      record.status_code = error.name === "TimeoutError" ? 504 : 502;
      record.status = error.name === "TimeoutError" ? "timed out" : "failed to connect to host";
    }
    record.duration = (performance.now() - started) / 1000;
  }

  #headers({ event, guid, body }) {
    return {
      "Content-Type": "application/json",
      "User-Agent": USER_AGENT,
      "X-GitHub-Event": event,
      "X-GitHub-Delivery": guid,
      "X-GitHub-Hook-ID": String(this.hook.hookId),
      "X-GitHub-Hook-Installation-Target-ID": String(this.hook.appId),
      "X-GitHub-Hook-Installation-Target-Type": "integration",
      ...signatures(this.hook.secret, body),
    };
  }
}

/** Both signature headers GitHub sends; a receiver should only trust the second. */
export function signatures(secret, body) {
  return {
    "X-Hub-Signature": `sha1=${createHmac("sha1", secret).update(body).digest("hex")}`,
    "X-Hub-Signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
  };
}

/** The two shapes of GitHub's `/app/hook/deliveries`. */
export function deliverySummary(record) {
  const { id, guid, delivered_at, redelivery, duration, status, status_code, event, action } = record;
  return {
    ...{ id, guid, delivered_at, redelivery, duration, status, status_code, event, action },
    installation_id: record.installation_id,
    repository_id: record.repository_id,
    throttled_at: null,
  };
}

export function deliveryDetail(record, url) {
  return {
    ...deliverySummary(record),
    url,
    request: { headers: record.request_headers ?? null, payload: JSON.parse(record.body) },
    response: record.response,
  };
}
