// One stand-in in this process, an App's credentials, and a receiver that keeps what webhooks it got.
import { createSign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { APP_ID, INSTALLATION_ID, makeSecrets, makeSeed } from "../seed.mjs";
import { startStandIn } from "../stand-in.mjs";

const secrets = makeSecrets();

/** Starts everything, hands it to `work`, stops everything. */
export async function withStandIn(work) {
  const folder = mkdtempSync(join(tmpdir(), "stand-in-test-"));
  const receiver = await startReceiver();
  const seed = makeSeed({ ...secrets, webhookUrl: receiver.url });
  const standIn = await startStandIn({ seed, gitRoot: join(folder, "git") });
  try {
    await work(makeClient({ ...standIn, folder, receiver }));
  } finally {
    await standIn.close();
    await receiver.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function startReceiver() {
  const received = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    received.push({ headers: request.headers, body, payload: JSON.parse(body) });
    response.writeHead(202).end("accepted");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${server.address().port}/webhook`, received, secret: secrets.webhookSecret, close };
}

function makeClient({ url, folder, receiver }) {
  const client = { url, folder, receiver, installationId: INSTALLATION_ID };

  client.fetch = (path, { method = "GET", token, body, headers = {} } = {}) =>
    fetch(url + path, {
      method,
      headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });

  client.json = async (path, options) => {
    const response = await client.fetch(path, options);
    return { status: response.status, headers: response.headers, body: await response.json().catch(() => null) };
  };

  client.control = async (method, path, body) => {
    const answer = await client.json(`/_stand-in${path}`, { method, body });
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.body?.message}`);
    return answer.body;
  };

  client.appJwt = (claims = {}) => makeJwt(secrets.privateKey, claims);

  client.token = async (reduction) => {
    const path = `/app/installations/${INSTALLATION_ID}/access_tokens`;
    const answer = await client.json(path, { method: "POST", token: client.appJwt(), body: reduction });
    if (answer.status !== 201) throw new Error(`no token: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body.token;
  };

  client.events = (name) =>
    receiver.received
      .filter(({ headers }) => !name || headers["x-github-event"] === name)
      .map(({ headers, payload }) => ({ event: headers["x-github-event"], headers, ...payload }));

  /** A repository with one file and an open pull request of `writer` that changes it. */
  client.pullRequest = async (options = {}) => {
    const repo = options.repo ?? "acme/imagegen";
    await client.control("POST", "/repositories", { repo, files: { "suite.py": "a = 1\n" }, private: options.private });
    await client.control("POST", "/collaborators", { repo, login: "writer", role: "write" });
    const change = { repo, as: "writer", branch: "better", files: { "suite.py": "a = 2\n" }, message: "Better" };
    await client.control("POST", "/push", change);
    return {
      repo,
      ...(await client.control("POST", "/pulls", { repo, as: "writer", title: "Better", head: "better" })),
    };
  };
  return client;
}

function makeJwt(privateKey, claims) {
  const now = Math.floor(Date.now() / 1000);
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const head = encode({ alg: "RS256", typ: "JWT" });
  const body = encode({ iat: now - 30, exp: now + 300, iss: String(APP_ID), ...claims });
  const signature = createSign("sha256").update(`${head}.${body}`).sign(privateKey, "base64url");
  return `${head}.${body}.${signature}`;
}
