// Writes what one stand-in starts from: seed.yaml (people, organisation, App), the App's fresh RSA key (app.pem) and a
// random webhook secret (webhook-secret). Nothing of it is ever committed; every run makes its own.
// Usage: node seed.mjs --out DIR [--webhook-url URL]
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { stringify } from "yaml";

export const APP_ID = 12345;
export const INSTALLATION_ID = 777;

const PERMISSIONS = { metadata: "read", contents: "write", issues: "write", pull_requests: "write", checks: "write" };
const EVENTS = [
  "check_run",
  "check_suite",
  "installation_target",
  "issue_comment",
  "pull_request",
  "pull_request_review",
  "push",
  "repository",
];

/** People: `maintainer` (organisation admin), `writer` (may push), `contributor` (may read), `stranger` (no role). */
export function makeSeed({ webhookUrl = "http://127.0.0.1:1/webhook", webhookSecret, privateKey, repositories = [] }) {
  const person = (login, name) => ({ login, name, email: `${login}@example.com` });
  return {
    tokens: {},
    github: {
      users: [
        person("maintainer", "Maja Maintainer"),
        person("writer", "Wim Writer"),
        person("contributor", "Cora Contributor"),
        person("stranger", "Sam Stranger"),
      ],
      orgs: [{ login: "acme", name: "Acme", members: [{ login: "maintainer", role: "admin" }] }],
      repos: repositories,
      apps: [
        {
          app_id: APP_ID,
          slug: "difftest",
          name: "difftest",
          description: "CI for models that make images",
          permissions: PERMISSIONS,
          events: EVENTS,
          webhook_url: webhookUrl,
          webhook_secret: webhookSecret,
          private_key: privateKey,
          installations: [{ installation_id: INSTALLATION_ID, account: "acme", repository_selection: "selected" }],
        },
      ],
    },
  };
}

/** The secrets of one run; the key is PKCS#1, the form in which GitHub hands it out. */
export function makeSecrets() {
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  return { privateKey, webhookSecret: randomBytes(24).toString("hex") };
}

function main() {
  const { values } = parseArgs({ options: { out: { type: "string" }, "webhook-url": { type: "string" } } });
  if (!values.out) throw new Error("--out DIR is required");
  mkdirSync(values.out, { recursive: true, mode: 0o700 });
  const { privateKey, webhookSecret } = makeSecrets();
  const seed = makeSeed({ privateKey, webhookSecret, webhookUrl: values["webhook-url"] });
  const written = {
    seed: join(values.out, "seed.yaml"),
    private_key: join(values.out, "app.pem"),
    webhook_secret: join(values.out, "webhook-secret"),
  };
  writeFileSync(written.seed, stringify(seed), { mode: 0o600 });
  writeFileSync(written.private_key, privateKey, { mode: 0o600 });
  writeFileSync(written.webhook_secret, webhookSecret, { mode: 0o600 });
  console.log(JSON.stringify({ app_id: APP_ID, installation_id: INSTALLATION_ID, ...written }));
}

if (import.meta.main) main();
