// Loads emulate 0.12.2's GitHub without its command line, and opens the two doors that its package keeps shut: the
// server factory and the plugin's store. No file of the package is changed: a loader hook adds two names to the export
// list of one module, in memory. The chunk names belong to 0.12.2 exactly, which is why package.json pins it.
import { registerHooks } from "node:module";
import { existsSync } from "node:fs";

const DIST = new URL("../node_modules/emulate/dist/", import.meta.url);
const CORE = new URL("chunk-IHI7H6SI.js", DIST).href;
const GITHUB = new URL("dist-DWLNEG6M.js", DIST).href;

const USER_SCOPES = ["repo", "user", "admin:org", "admin:repo_hook"];

async function loadModules() {
  if (!existsSync(new URL(CORE))) {
    throw new Error("tests/github: emulate 0.12.2 is not installed here; run 'npm ci' in tests/github");
  }
  const hooks = registerHooks({
    load(url, context, next) {
      const module = next(url, context);
      if (url !== CORE) return module;
      return { ...module, source: String(module.source).replace(/\nexport \{/, "\nexport { createServer,") };
    },
  });
  try {
    return { core: await import(CORE), github: await import(GITHUB) };
  } finally {
    hooks.deregister();
  }
}

/**
 * @param {object} seed what seed.mjs writes: `{tokens, github: {users, orgs, repos, apps}, collaborators}`
 * @param {string} baseUrl the public address, which emulate writes into every URL it answers
 */
export async function startEmulator(seed, baseUrl) {
  const { core, github } = await loadModules();
  const tokens = Object.fromEntries(
    Object.entries(seed.tokens ?? {}).map(([token, user], index) => [
      token,
      { login: user.login, id: 1000 + index, scopes: user.scopes ?? USER_SCOPES },
    ]),
  );
  let appKeys;
  const server = core.createServer(github.githubPlugin, { baseUrl, tokens, appKeyResolver: (id) => appKeys(id) });
  appKeys = github.createAppKeyResolver(server.store);
  github.githubPlugin.seed(server.store, baseUrl);
  github.seedFromConfig(server.store, baseUrl, seed.github);

  const gh = github.getGitHubStore(server.store);
  // emulate sends a human's `admin` only through organisation membership; plain collaborators are ours to seed.
  for (const { repository, login, permission } of seed.collaborators ?? []) {
    addCollaborator(gh, gh.repos.findOneBy("full_name", repository), login, permission);
  }
  return {
    gh,
    baseUrl,
    tokens: server.tokenMap,
    /** Emulate's own answer to a request, in process. */
    fetch: (request) => server.app.fetch(request),
    /** Every event emulate would send passes through here instead. */
    onEvent(listener) {
      server.webhooks.dispatch = async (event, action, payload, owner, repo) =>
        listener({ event, action, payload: structuredClone(payload), owner, repo });
    },
  };
}

export function addCollaborator(gh, repo, login, permission) {
  const user = gh.users.findOneBy("login", login);
  if (!repo || !user) throw new Error(`no such repository or user for collaborator ${login}`);
  const known = gh.collaborators.findBy("repo_id", repo.id).find((row) => row.user_id === user.id);
  if (known) gh.collaborators.update(known.id, { permission });
  else gh.collaborators.insert({ repo_id: repo.id, user_id: user.id, permission });
}
