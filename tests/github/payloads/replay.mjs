// Posts every recorded payload of every event type to a webhook receiver, re-signed and with ids of their own, then the
// hostile ones. Exits 1 unless every recorded one is answered 2xx and every hostile one as it deserves.
// Usage: node payloads/replay.mjs --url URL (--secret S | --secret-file FILE) [--enterprise] [--json]
//        [--installation ID] [--repository OWNER/NAME] [--event NAME] [--no-hostile]
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { parseArgs } from "node:util";
import { signatures } from "../adapter/deliveries.mjs";
import { recordedExamples } from "./examples.mjs";
import { hostileDeliveries } from "./hostile.mjs";

const TIMEOUT_MS = 10_000;
const CHUNK = 64 * 1024;

const HUNG_UP = new Set(["EPIPE", "ECONNRESET"]);

/** @returns {Promise<{name: string, event: string, action: string|null, status: number|string, ok: boolean, ms: number}[]>} */
export async function replay({ url, secret, examples, hostile = true }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const results = [];
  const send = async (delivery, [least, most], ownAgent) => {
    const started = performance.now();
    const status = await post(url, secret, delivery, ownAgent);
    const { name, event, action } = delivery;
    const ms = Math.round(performance.now() - started);
    results.push({
      name,
      event,
      action,
      status,
      expected: `${least}-${most}`,
      // Whoever refuses a body unread may hang up before the refusal is heard (RFC 9112, section 9.6).
      ok: (status >= least && status <= most) || (delivery.mayHangUp === true && HUNG_UP.has(status)),
      ms,
    });
  };
  for (const { payload, ...example } of examples) {
    await send({ ...example, body: JSON.stringify(payload), headers: {} }, [200, 299], agent);
  }
  agent.destroy();
  if (hostile && examples.length) {
    const model = examples.find(({ event, action }) => event === "pull_request" && action === "opened") ?? examples[0];
    // A refused connection must not be met again by the next delivery, so each of these opens its own.
    for (const delivery of hostileDeliveries(secret, model)) await send(delivery, delivery.expect, undefined);
  }
  return results;
}

/** @returns the status, or the name of the error where no answer came at all */
function post(url, secret, { event, body, headers }, agent) {
  const bytes = Buffer.from(body);
  const all = {
    "Content-Type": "application/json",
    "Content-Length": bytes.length,
    "User-Agent": "GitHub-Hookshot/0000000",
    "X-GitHub-Event": event,
    "X-GitHub-Delivery": randomUUID(),
    ...signatures(secret, bytes),
    ...headers,
  };
  const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
  const start = new URL(url).protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const request = start(url, { method: "POST", headers: kept, agent, timeout: TIMEOUT_MS }, (response) => {
      response.on("error", () => {}); // the receiver may hang up on a body it has already refused
      response.resume();
      resolve(response.statusCode);
    });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", (error) => resolve(error.code ?? error.message));
    writeSlowly(request, bytes);
  });
}

/** In pieces, so that an early refusal of a large body is heard instead of ending in a broken pipe. */
async function writeSlowly(request, bytes) {
  let answered = false;
  request.on("response", () => (answered = true));
  for (let at = 0; at < bytes.length && !answered && !request.destroyed; at += CHUNK) {
    if (!request.write(bytes.subarray(at, at + CHUNK))) {
      await Promise.race(["drain", "response", "close"].map((name) => new Promise((next) => request.once(name, next))));
    }
    await new Promise((next) => setImmediate(next));
  }
  if (answered) request.destroy();
  else request.end();
}

/** One line an event and action: how many, and what they were answered. */
export function table(results) {
  const groups = Map.groupBy(results, ({ name, event, action }) =>
    /\/\d+$/.test(name) ? `${event}${action ? `.${action}` : ""}` : `hostile: ${name}`,
  );
  const width = Math.max(...[...groups.keys()].map((key) => key.length));
  return [...groups]
    .map(([key, rows]) => {
      const statuses = [...new Set(rows.map((row) => row.status))].join(" ");
      const wrong = rows.find((row) => !row.ok);
      return `${key.padEnd(width)}  ${String(rows.length).padStart(3)}  ${statuses}${wrong ? `  WRONG, expected ${wrong.expected}` : ""}`;
    })
    .join("\n");
}

async function main() {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      url: { type: "string" },
      secret: { type: "string" },
      "secret-file": { type: "string" },
      installation: { type: "string" },
      repository: { type: "string" },
      event: { type: "string" },
      enterprise: { type: "boolean", default: false },
      hostile: { type: "boolean", default: true },
      json: { type: "boolean", default: false },
    },
  });
  const secret = values["secret-file"] ? readFileSync(values["secret-file"], "utf8").trim() : values.secret;
  if (!values.url || !secret) throw new Error("--url and --secret (or --secret-file) are required");
  const { enterprise, repository, event, hostile } = values;
  const examples = recordedExamples({ enterprise, repository, installation: Number(values.installation) || undefined });
  const chosen = examples.filter((example) => !event || example.event === event);
  const results = await replay({ url: values.url, secret, examples: chosen, hostile });
  const wrong = results.filter((row) => !row.ok).length;
  console.log(values.json ? JSON.stringify(results) : table(results));
  if (!values.json) console.log(`\n${results.length} deliveries, ${wrong} answered wrongly`);
  process.exitCode = wrong ? 1 : 0;
}

if (import.meta.main) {
  main().catch((error) => {
    console.error(`replay: ${error.message}`);
    process.exit(2);
  });
}
