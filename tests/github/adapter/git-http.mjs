// Clone, fetch and push over HTTP by git's own `http-backend`, with the token checked as GitHub does: an installation
// token needs `contents` on that very repository, a missing or unknown one is 401, one without the right is 403. Stricter
// than GitHub in one point: public repositories want a token too, so that forgetting it shows in a test.
import { spawn } from "node:child_process";
import { GIT_ENV } from "./git-repositories.mjs";

const SERVICE = /^\/([^/]+)\/([^/]+?)(?:\.git)?\/(info\/refs|git-upload-pack|git-receive-pack|HEAD|objects\/.+)$/;

/** @returns `{fullName, rest, write}` when the path is git's, else undefined */
export function gitRequest(url) {
  const match = SERVICE.exec(url.pathname);
  if (!match) return undefined;
  const [, owner, name, rest] = match;
  const service = url.searchParams.get("service") ?? rest;
  return { fullName: `${owner}/${name}`, rest, write: service === "git-receive-pack" };
}

/** The token of `Authorization: Basic x-access-token:TOKEN` (any user name will do on GitHub) or `Bearer TOKEN`. */
export function gitToken(authorization) {
  if (!authorization) return undefined;
  const [scheme, value = ""] = authorization.split(/\s+/, 2);
  if (/^basic$/i.test(scheme)) {
    const [user, ...password] = Buffer.from(value, "base64").toString("utf8").split(":");
    return password.join(":") || user;
  }
  return value;
}

/** @returns 200, or the status GitHub refuses this caller with. */
export function gitAccess(caller, repository, write) {
  if (["unknown", "app", "anonymous"].includes(caller.kind)) return 401;
  if (!repository) return 404;
  if (caller.kind === "installation") {
    const granted = caller.permissions.contents;
    const enough = write ? granted === "write" : granted === "read" || granted === "write";
    return caller.covers(repository) && enough ? 200 : 403;
  }
  const role = caller.roleIn(repository);
  return role === "none" || (write && ["read", "triage"].includes(role)) ? 403 : 200;
}

export function refuseGit(response, status) {
  const challenge = status === 401 ? { "www-authenticate": 'Basic realm="GitHub"' } : {};
  response.writeHead(status, { "content-type": "text/plain", ...challenge });
  response.end(status === 401 ? "Bad credentials\n" : "Write access to repository not granted.\n");
}

/** Streams one request through git http-backend; resolves when git has finished. */
export function serveGit({ request, response, url, root, fullName, rest, user }) {
  const child = spawn("git", ["http-backend"], {
    env: {
      ...GIT_ENV,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: `/${fullName}.git/${rest}`,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      REMOTE_USER: user,
      REMOTE_ADDR: "127.0.0.1",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      // An empty CONTENT_LENGTH is an error to the backend; a chunked body has to leave it unset.
      ...(request.headers["content-length"] ? { CONTENT_LENGTH: request.headers["content-length"] } : {}),
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      HTTP_GIT_PROTOCOL: request.headers["git-protocol"] ?? "",
    },
  });
  child.stdin.on("error", () => {}); // the backend may finish before the client has sent everything
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  let answering = false;
  child.stdout.on("data", (chunk) => {
    if (answering) return void response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    answering = true;
    writeCgiHead(response, head.toString("latin1", 0, end));
    response.write(head.subarray(end + 4));
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => resolve({ finish: () => response.end(), answering }));
  });
}

function writeCgiHead(response, text) {
  let status = 200;
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).trim();
    if (name.toLowerCase() === "status") status = Number.parseInt(value, 10);
    else response.setHeader(name, value);
  }
  response.writeHead(status);
}
