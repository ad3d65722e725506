// The HTTP side: every request is logged, the App's are validated, faults strike, credentials are checked, and then our
// routes answer or emulate does. Answers get the fields that emulate leaves out.
import { setTimeout as sleep } from "node:timers/promises";
import { describeCaller } from "./access.mjs";
import { gitAccess, gitRequest, gitToken, refuseGit, serveGit } from "./git-http.mjs";
import { compileRoutes, findRoute } from "./routing.mjs";
import { fillShapes } from "./shapes.mjs";

const BODY_LIMIT = 50 * 1024 * 1024;
const PREFIX = /^\/api\/v3(?=\/)/; // a GitHub Enterprise Server's

/** @returns the listener for a node http server's `request` event */
export function makeHandler(rooms) {
  const ready = { ...rooms, routes: compileRoutes(rooms.routes), controls: compileRoutes(rooms.controls) };
  return (request, response) => {
    handle(ready, request, response).catch((error) => {
      const status = error.status ?? 500;
      if (status >= 500) console.error(error);
      if (response.headersSent) response.destroy();
      else sendJson(response, status, { message: error.message });
    });
  };
}

async function handle(rooms, request, response) {
  const url = new URL(request.url, rooms.world.baseUrl);
  if (url.pathname.startsWith("/_stand-in")) return handleControl(rooms, request, response, url);
  const git = gitRequest(url);
  if (git) return handleGit(rooms, request, response, url, git);
  return handleApi(rooms, request, response, url);
}

async function handleControl({ controls }, request, response, url) {
  const found = findRoute(controls, request.method, url.pathname);
  if (!found) return sendJson(response, 404, { message: `no control ${request.method} ${url.pathname}` });
  const text = (await readBody(request)).toString("utf8");
  const answer = await found.route.handle({
    params: found.params,
    query: url.searchParams,
    body: text ? JSON.parse(text) : {},
  });
  return sendJson(response, 200, answer ?? {});
}

async function handleGit(rooms, request, response, url, { fullName, rest, write }) {
  const { world, access, log, faults, repositories, pushes } = rooms;
  const token = gitToken(request.headers.authorization);
  const caller = access.identify(token);
  const entry = log.record({ ...requestLine(request.method, url), caller: describeCaller(caller) });
  const fault = faults.take(request.method, url.pathname);
  entry.fault = fault?.id ?? null;
  if (await strikeBefore(fault, response, entry)) return;
  const repository = world.gh.repos.findOneBy("full_name", fullName);
  const status = gitAccess(caller, repository, write);
  entry.status = status;
  if (status !== 200) return refuseGit(response, status);
  const user = caller.login ?? `${world.gh.apps.all()[0].slug}[bot]`;
  const served = await serveGit({ request, response, url, root: repositories.root, fullName, rest, user });
  if (write && request.method === "POST" && caller.login) await pushes.afterReceive(repository, caller.login);
  if (fault?.drop === "after") return void response.destroy();
  served.finish();
}

async function handleApi(rooms, request, response, url) {
  const { access, log, faults, validate } = rooms;
  const path = url.pathname.replace(PREFIX, "");
  const method = effectiveMethod(request.method, path);
  const body = await readBody(request);
  const caller = access.identify(request.headers.authorization);
  const entry = log.record({ method, path, query: url.search, caller: describeCaller(caller), body });
  const json = parseJson(body);
  if (isApp(caller)) {
    const asked = { method, path, query: url.searchParams, body: body.length ? (json ?? "not JSON") : null };
    entry.violations.push(...validate({ ...asked, appJwt: caller.kind !== "installation" }));
  }
  const fault = faults.take(method, path);
  entry.fault = fault?.id ?? null;
  if (await strikeBefore(fault, response, entry)) return;

  const refused = access.refusal(caller, path);
  const answer = refused
    ? Response.json({ message: refused.message, documentation_url: "https://docs.github.com/rest" }, refused)
    : await answerApi(rooms, { request, method, path, url, body, json, caller, entry });
  entry.status = answer.status;
  if (fault?.drop === "after") return void response.destroy();
  await sendAnswer(rooms, response, answer, entry);
}

async function answerApi(rooms, { request, method, path, url, body, json, caller, entry }) {
  const { world, routes, mirror } = rooms;
  const ask = (verb, target, bytes) =>
    world.fetch(
      new Request(world.baseUrl + target, {
        method: verb,
        headers: emulateHeaders(request.headers),
        body: ["GET", "HEAD"].includes(verb) || !bytes?.length ? undefined : bytes,
      }),
    );
  const emulate = (changed) => ask(method, path + url.search, changed === undefined ? body : JSON.stringify(changed));
  const found = findRoute(routes, method, path);
  const context = {
    ...{ world, caller, json, emulate, params: found?.params, query: url.searchParams },
    asCaller: (verb, target) => ask(verb, target),
    violation: (rule, detail) => entry.violations.push({ rule, detail }),
  };
  const answer = found ? await found.route.handle(context) : await emulate();
  const written = /^\/repos\/([^/]+\/[^/]+)\//.exec(path);
  if (method !== "GET" && answer.ok && written) {
    const repo = world.gh.repos.findOneBy("full_name", written[1]);
    if (repo) await mirror.exportRefs(repo);
  }
  return answer;
}

/** Applies what a fault does before the request is served. @returns whether that was all. */
async function strikeBefore(fault, response, entry) {
  if (!fault) return false;
  if (fault.delayMs) await sleep(fault.delayMs);
  if (fault.drop === "before") {
    response.destroy();
    return true;
  }
  if (!fault.answer) return false;
  entry.status = fault.answer.status;
  sendJson(response, fault.answer.status, fault.answer.body, fault.answer.headers);
  return true;
}

/** GitHub still takes POST where it documents PATCH, and octocrab edits comments so. */
function effectiveMethod(method, path) {
  return method === "POST" && /\/issues\/comments\/\d+$/.test(path) ? "PATCH" : method;
}

function emulateHeaders(headers) {
  const kept = ["authorization", "accept", "content-type", "user-agent"];
  return Object.fromEntries(kept.filter((name) => headers[name]).map((name) => [name, headers[name]]));
}

/** A caller that tried to be an App counts, also where its credentials were refused. */
function isApp({ kind, why }) {
  return kind === "app" || kind === "installation" || (kind === "unknown" && why !== undefined);
}

function requestLine(method, url) {
  return { method, path: url.pathname, query: url.search, body: null };
}

async function sendAnswer({ world }, response, answer, entry) {
  const headers = Object.fromEntries(answer.headers);
  delete headers["content-length"];
  headers["x-github-request-id"] = `STAND:${entry.id}`;
  headers["x-github-media-type"] = "github.v3; format=json";
  const type = headers["content-type"] ?? "";
  if (!answer.body) return void response.writeHead(answer.status, headers).end();
  if (!type.includes("json")) {
    return void response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()));
  }
  const filled = fillShapes(await answer.json(), world);
  response.writeHead(answer.status, headers).end(JSON.stringify(filled));
}

function sendJson(response, status, value, headers = {}) {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers });
  response.end(JSON.stringify(value));
}

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > BODY_LIMIT) throw Object.assign(new Error("body too large"), { status: 413 });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(body) {
  if (!body.length) return undefined;
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
