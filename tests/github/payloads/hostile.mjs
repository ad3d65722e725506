// Deliveries no honest GitHub sends, with the answers a receiver has to give. All are made from one recorded payload.
import { randomUUID } from "node:crypto";
import { signatures } from "../adapter/deliveries.mjs";

const LIMIT = 25 * 1024 * 1024; // GitHub caps payloads at 25 MB; nothing larger can be genuine

/** Answers are `[least, most]` statuses; `null` in `headers` takes a header away. */
export function hostileDeliveries(secret, example) {
  const body = JSON.stringify(example.payload);
  const delivery = (name, expect, change) => ({
    ...{ name, expect, event: example.event, action: example.action, body, headers: {} },
    ...change,
  });
  const refused = [401, 401];
  const malformed = [400, 400];
  const ignored = [200, 299];
  const notOurFault = [200, 499];
  const { "X-Hub-Signature-256": right, "X-Hub-Signature": sha1 } = signatures(secret, body);
  const flipped = right.slice(0, -1) + (right.endsWith("0") ? "1" : "0");

  return [
    delivery("signed with another secret", refused, { headers: signatures("not the secret", body) }),
    delivery("one digit of the signature changed", refused, { headers: { "X-Hub-Signature-256": flipped } }),
    delivery("signature cut short", refused, { headers: { "X-Hub-Signature-256": right.slice(0, 40) } }),
    delivery("signature without its prefix", refused, { headers: { "X-Hub-Signature-256": right.slice(7) } }),
    delivery("signature not hexadecimal", refused, { headers: { "X-Hub-Signature-256": `sha256=${"zz".repeat(32)}` } }),
    delivery("body altered after signing", refused, { body: `${body} `, headers: { "X-Hub-Signature-256": right } }),
    delivery("only the old SHA-1 signature", refused, {
      headers: { "X-Hub-Signature-256": null, "X-Hub-Signature": sha1 },
    }),
    delivery("no signature", [400, 401], { headers: { "X-Hub-Signature-256": null, "X-Hub-Signature": null } }),
    delivery("no X-GitHub-Event", malformed, { headers: { "X-GitHub-Event": null } }),
    delivery("no X-GitHub-Delivery", malformed, { headers: { "X-GitHub-Delivery": null } }),
    delivery("not JSON", malformed, { body: "{" }),
    delivery("not UTF-8", malformed, { body: Buffer.from([0x7b, 0xff, 0xfe, 0x7d]) }),
    delivery("empty body", malformed, { body: "" }),
    delivery("JSON that is no object", [200, 400], { body: "[]" }),
    delivery("an object with nothing in it", notOurFault, { body: "{}" }),
    delivery("nested a hundred thousand deep", notOurFault, { body: `${"[".repeat(1e5)}${"]".repeat(1e5)}` }),
    delivery("numbers out of range", notOurFault, {
      body: '{"action":"opened","number":1e400,"installation":{"id":-1}}',
    }),
    delivery("an action nobody knows", ignored, { body: JSON.stringify({ ...example.payload, action: "levitated" }) }),
    delivery("an event nobody knows", ignored, { event: "levitation" }),
    delivery("null in every member", notOurFault, { body: JSON.stringify(nulled(example.payload)) }),
    delivery("over 25 MB", [413, 413], { body: JSON.stringify({ padding: "x".repeat(LIMIT) }), mayHangUp: true }),
    ...twice(delivery, ignored),
  ];
}

/** The same delivery id twice is GitHub's own re-delivery: both are taken. */
function twice(delivery, expect) {
  const headers = { "X-GitHub-Delivery": randomUUID() };
  return [delivery("a delivery", expect, { headers }), delivery("the same delivery again", expect, { headers })];
}

function nulled(payload) {
  return Object.fromEntries(Object.keys(payload).map((key) => [key, key === "action" ? payload.action : null]));
}
