// Cuts from GitHub's OpenAPI description the requests an App like ours makes: paths, parameters and bodies, no answers.
// Usage: node openapi/slice.mjs FOLDER  (the unpacked npm package @octokit/openapi; see ORIGIN.md)
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const PATHS = [
  "/app",
  "/app/hook/config",
  "/app/hook/deliveries",
  "/app/hook/deliveries/{delivery_id}",
  "/app/hook/deliveries/{delivery_id}/attempts",
  "/app/installations",
  "/app/installations/{installation_id}",
  "/app/installations/{installation_id}/access_tokens",
  "/apps/{app_slug}",
  "/installation/repositories",
  "/installation/token",
  "/orgs/{org}/installation",
  "/users/{username}/installation",
  "/users/{username}",
  "/rate_limit",
  "/meta",
  "/repos/{owner}/{repo}",
  "/repos/{owner}/{repo}/branches",
  "/repos/{owner}/{repo}/branches/{branch}",
  "/repos/{owner}/{repo}/check-runs",
  "/repos/{owner}/{repo}/check-runs/{check_run_id}",
  "/repos/{owner}/{repo}/check-runs/{check_run_id}/annotations",
  "/repos/{owner}/{repo}/check-runs/{check_run_id}/rerequest",
  "/repos/{owner}/{repo}/check-suites",
  "/repos/{owner}/{repo}/check-suites/preferences",
  "/repos/{owner}/{repo}/check-suites/{check_suite_id}",
  "/repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs",
  "/repos/{owner}/{repo}/check-suites/{check_suite_id}/rerequest",
  "/repos/{owner}/{repo}/collaborators/{username}",
  "/repos/{owner}/{repo}/collaborators/{username}/permission",
  "/repos/{owner}/{repo}/commits",
  "/repos/{owner}/{repo}/commits/{commit_sha}/pulls",
  "/repos/{owner}/{repo}/commits/{ref}",
  "/repos/{owner}/{repo}/commits/{ref}/check-runs",
  "/repos/{owner}/{repo}/commits/{ref}/check-suites",
  "/repos/{owner}/{repo}/compare/{basehead}",
  "/repos/{owner}/{repo}/contents/{path}",
  "/repos/{owner}/{repo}/git/blobs",
  "/repos/{owner}/{repo}/git/blobs/{file_sha}",
  "/repos/{owner}/{repo}/git/commits",
  "/repos/{owner}/{repo}/git/commits/{commit_sha}",
  "/repos/{owner}/{repo}/git/matching-refs/{ref}",
  "/repos/{owner}/{repo}/git/ref/{ref}",
  "/repos/{owner}/{repo}/git/refs",
  "/repos/{owner}/{repo}/git/refs/{ref}",
  "/repos/{owner}/{repo}/git/trees",
  "/repos/{owner}/{repo}/git/trees/{tree_sha}",
  "/repos/{owner}/{repo}/installation",
  "/repos/{owner}/{repo}/issues/comments",
  "/repos/{owner}/{repo}/issues/comments/{comment_id}",
  "/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions",
  "/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions/{reaction_id}",
  "/repos/{owner}/{repo}/issues/{issue_number}",
  "/repos/{owner}/{repo}/issues/{issue_number}/comments",
  "/repos/{owner}/{repo}/issues/{issue_number}/labels",
  "/repos/{owner}/{repo}/issues/{issue_number}/reactions",
  "/repos/{owner}/{repo}/issues/{issue_number}/reactions/{reaction_id}",
  "/repos/{owner}/{repo}/pulls",
  "/repos/{owner}/{repo}/pulls/{pull_number}",
  "/repos/{owner}/{repo}/pulls/{pull_number}/commits",
  "/repos/{owner}/{repo}/pulls/{pull_number}/files",
  "/repos/{owner}/{repo}/pulls/{pull_number}/reviews",
  "/repos/{owner}/{repo}/statuses/{sha}",
];

const METHODS = ["get", "post", "put", "patch", "delete"];
const NOISE = new Set(["description", "example", "examples", "externalDocs", "title", "x-multi-segment", "deprecated"]);

const folder = process.argv[2];
if (!folder) throw new Error("usage: node openapi/slice.mjs FOLDER");
const version = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
const source = findDescription(folder);
const components = {};

const paths = {};
for (const path of PATHS) {
  const item = source.paths[path];
  if (!item) throw new Error(`${path} is not in @octokit/openapi ${version}`);
  paths[path] = {};
  for (const method of METHODS.filter((name) => item[name])) {
    const { operationId, parameters = [], requestBody, "x-github": github } = item[method];
    paths[path][method] = slim({
      operationId,
      enabledForGitHubApps: github?.enabledForGitHubApps ?? null,
      parameters: [...(item.parameters ?? []), ...parameters],
      requestBody,
    });
  }
}

const slice = { origin: `@octokit/openapi ${version}, generated/api.github.com.json`, paths, components };
writeFileSync(new URL("slice.json", import.meta.url), `${JSON.stringify(slice, null, 1)}\n`);
console.log(`${PATHS.length} paths from ${slice.origin}`);

function findDescription(root) {
  for (const name of ["generated/api.github.com.json", "api.github.com.json"]) {
    try {
      return JSON.parse(readFileSync(join(root, name), "utf8"));
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
  throw new Error(`no api.github.com.json under ${root}`);
}

/** A copy without prose, with every `$ref` target carried along. */
function slim(value, parentKey) {
  if (Array.isArray(value)) return value.map((item) => slim(item));
  if (!value || typeof value !== "object") return value;
  if (typeof value.$ref === "string") {
    carry(value.$ref);
    return { $ref: value.$ref };
  }
  // Under `properties`, `title` and `description` are names of members, not prose.
  const named = parentKey === "properties";
  const kept = Object.entries(value).filter(([key]) => named || !NOISE.has(key));
  return Object.fromEntries(kept.map(([key, item]) => [key, slim(item, named ? undefined : key)]));
}

function carry(ref) {
  const [, , kind, name] = ref.split("/");
  components[kind] ??= {};
  if (name in components[kind]) return;
  components[kind][name] = null; // marks it as visited, schemas may be recursive
  components[kind][name] = slim(source.components[kind][name]);
}
