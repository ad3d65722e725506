import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { test } from "node:test";
import { recordedExamples } from "../payloads/examples.mjs";
import { replay, table } from "../payloads/replay.mjs";

const SECRET = "test secret";
const LIMIT = 25 * 1024 * 1024;

/** A receiver that does what an App must; `spoil` lets one event fail. */
async function withReceiver(spoil, work) {
  const server = createServer((request, response) => {
    const answer = (status) => response.writeHead(status, { connection: "close" }).end();
    if (Number(request.headers["content-length"]) > LIMIT) return answer(413);
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => answer(judge(request.headers, Buffer.concat(chunks), spoil)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${server.address().port}/webhook`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function judge(headers, body, spoil) {
  const right = `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`;
  if (headers["x-hub-signature-256"] !== right) return 401;
  if (!headers["x-github-event"] || !headers["x-github-delivery"]) return 400;
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return 400;
  }
  return headers["x-github-event"] === spoil ? 500 : 202;
}

test("every event type GitHub has is among the recorded payloads", () => {
  const examples = recordedExamples({ installation: 777, repository: "acme/imagegen" });
  const events = new Set(examples.map(({ event }) => event));
  assert.ok(examples.length > 300);
  for (const event of ["push", "pull_request", "issue_comment", "check_run", "check_suite", "installation", "ping"]) {
    assert.ok(events.has(event), event);
  }
  const opened = examples.find(({ event, action }) => event === "pull_request" && action === "opened");
  assert.equal(opened.payload.installation.id, 777);
  assert.equal(opened.payload.repository.full_name, "acme/imagegen");
});

test("a receiver that behaves passes the replay, hostile deliveries included", () =>
  withReceiver(undefined, async (url) => {
    const results = await replay({ url, secret: SECRET, examples: recordedExamples() });
    assert.deepEqual(
      results.filter((row) => !row.ok),
      [],
    );
    assert.match(table(results), /pull_request\.opened +\d+ +202/);
    assert.match(table(results), /hostile: over 25 MB +1 +413/);
  }));

test("a receiver that fails on one event is found out", () =>
  withReceiver("push", async (url) => {
    const examples = recordedExamples().filter(({ event }) => ["push", "star"].includes(event));
    const results = await replay({ url, secret: SECRET, examples, hostile: false });
    assert.deepEqual([...new Set(results.filter((row) => !row.ok).map((row) => row.event))], ["push"]);
  }));
