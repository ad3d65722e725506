// A GitHub to test a GitHub App against, in one process: REST API, webhooks, git over HTTP, and a control API.
//
// From emulate 0.12.2 (npm, Apache-2.0): the store and most REST routes, App JWTs and installation tokens with enforced
// permissions and reductions, git data with real SHAs, diffs, pull requests, check runs, issue comments, users, members.
//
// Ours, in adapter/: webhook delivery and its records; `synchronize`, `push` and `check_suite` events; pull request files,
// counts and forks; annotations that add up, the check run's App and pull requests; reactions; collaborator roles in
// GitHub's words; refusal of unknown credentials; installation repositories; clone, fetch and push; the equality of git and
// store; validation against GitHub's OpenAPI description; faults; the request log; fields that octocrab's types require.
// In control/: the API under /_stand-in/ by which tests and the demo play the people. README.md shows its calls.
//
// Usage: node stand-in.mjs --seed FILE --git-root DIR [--port 0] [--host 127.0.0.1]
//        [--webhook-url URL] [--webhook-secret-file FILE] [--stop-with-stdin]
// Prints one JSON line, {"ready":true,"url":…,"pid":…}, when it accepts requests. Stops on SIGTERM and SIGINT, and with
// --stop-with-stdin also when its standard input ends: a killed test then leaves no stand-in behind.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { parse } from "yaml";
import { accessRoutes, makeAccess } from "./adapter/access.mjs";
import { makeChecks } from "./adapter/checks.mjs";
import { makeConversation } from "./adapter/conversation.mjs";
import { Deliveries } from "./adapter/deliveries.mjs";
import { startEmulator } from "./adapter/emulator.mjs";
import { Events } from "./adapter/events.mjs";
import { Faults } from "./adapter/faults.mjs";
import { GitMirror } from "./adapter/git-mirror.mjs";
import { GitRepositories } from "./adapter/git-repositories.mjs";
import { makeHookRoutes } from "./adapter/hook-routes.mjs";
import { loadValidator } from "./adapter/openapi-validation.mjs";
import { makePullRequests } from "./adapter/pull-requests.mjs";
import { makePushes } from "./adapter/pushes.mjs";
import { RequestLog } from "./adapter/request-log.mjs";
import { makeHandler } from "./adapter/server.mjs";
import { makeWorld } from "./adapter/world.mjs";
import { makeRerequest, pullRequestControls } from "./control/pull-requests.mjs";
import { repositoryControls } from "./control/repositories.mjs";
import { stateControls } from "./control/state.mjs";
import { webhookControls } from "./control/webhooks.mjs";

/**
 * @param {{seed: object, gitRoot: string, port?: number, host?: string, webhookUrl?: string, webhookSecret?: string}} options
 * @returns {Promise<{url: string, close: () => Promise<void>}>}
 */
export async function startStandIn({ seed, gitRoot, port = 0, host = "127.0.0.1", webhookUrl, webhookSecret }) {
  const server = createServer();
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  // The address has to be known first: emulate writes it into everything it answers.
  const url = `http://${host}:${server.address().port}`;
  server.on("request", makeHandler(await furnish({ seed, gitRoot, url, webhookUrl, webhookSecret })));
  return { url, close: () => closeServer(server) };
}

async function furnish({ seed, gitRoot, url, webhookUrl, webhookSecret }) {
  const world = makeWorld(await startEmulator(seed, url));
  const app = world.gh.apps.all()[0];
  const deliveries = new Deliveries({
    url: webhookUrl ?? app.webhook_url,
    secret: webhookSecret ?? app.webhook_secret,
    hookId: 1,
    appId: app.app_id,
  });
  const repositories = new GitRepositories(gitRoot);
  const mirror = new GitMirror(world, repositories);
  const events = new Events(world, deliveries);
  const pullRequests = makePullRequests(world, { events, mirror, repositories });
  const pushes = makePushes(world, { events, mirror, repositories, pullRequests });
  const checks = makeChecks(world);
  const conversation = makeConversation(world);
  world.fillers.push(checks.fill, conversation.fill);
  world.rerequest = makeRerequest(world, events);
  const rooms = {
    ...{ world, deliveries, repositories, mirror, events, pullRequests, pushes, checks, conversation },
    access: makeAccess(world),
    log: new RequestLog(),
    faults: new Faults(),
    validate: loadValidator(),
  };
  return {
    ...rooms,
    routes: [
      ...accessRoutes,
      ...checks.routes,
      ...conversation.routes,
      ...pullRequests.routes,
      ...makeHookRoutes(world, deliveries),
    ],
    controls: [
      ...repositoryControls(rooms),
      ...pullRequestControls(rooms),
      ...webhookControls(rooms),
      ...stateControls(rooms),
    ],
  };
}

function closeServer(server) {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function main() {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "0" },
      host: { type: "string", default: "127.0.0.1" },
      seed: { type: "string" },
      "git-root": { type: "string" },
      "webhook-url": { type: "string" },
      "webhook-secret-file": { type: "string" },
      "stop-with-stdin": { type: "boolean", default: false },
    },
  });
  if (!values.seed || !values["git-root"]) throw new Error("--seed FILE and --git-root DIR are required");
  const secretFile = values["webhook-secret-file"];
  const standIn = await startStandIn({
    seed: parse(readFileSync(values.seed, "utf8")),
    gitRoot: values["git-root"],
    port: Number(values.port),
    host: values.host,
    webhookUrl: values["webhook-url"],
    webhookSecret: secretFile ? readFileSync(secretFile, "utf8").trim() : undefined,
  });
  const stop = () => standIn.close().then(() => process.exit(0));
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, stop);
  if (values["stop-with-stdin"]) process.stdin.once("end", stop).once("error", stop).resume();
  console.log(JSON.stringify({ ready: true, url: standIn.url, pid: process.pid }));
}

if (import.meta.main) {
  main().catch((error) => {
    console.error(`stand-in: ${error.message}`);
    process.exit(2);
  });
}
