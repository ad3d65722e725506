// The fields that GitHub always sends and emulate 0.12.2 leaves out or null. octocrab 0.54's types refuse an answer
// without them, so this is the difference between "deserialises" and "does not". Values are GitHub's own shapes.

/** Fills `value` in place, at every depth, and returns it. Rooms add their own by `world.fillers`. */
export function fillShapes(value, world) {
  if (Array.isArray(value)) {
    for (const item of value) fillShapes(item, world);
  } else if (value && typeof value === "object") {
    for (const fill of [...(world.fillers ?? []), ...FILLERS]) fill(value, world);
    for (const item of Object.values(value)) fillShapes(item, world);
  }
  return value;
}

const FILLERS = [fillAccount, fillCheckRun, fillApp, fillInstallation, fillRepository, fillCommit, fillPermission];

function fillAccount(value, { baseUrl }) {
  if (typeof value.login !== "string" || typeof value.id !== "number") return;
  const login = encodeURIComponent(value.login);
  const url = `${baseUrl}/users/${login}`;
  const defaults = {
    gravatar_id: "",
    avatar_url: `${baseUrl}/avatars/${value.id}`,
    url,
    html_url: `${baseUrl}/${login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: "User",
    site_admin: false,
  };
  for (const [key, fallback] of Object.entries(defaults)) {
    // A bot's login holds brackets, which emulate writes into URLs unescaped; url parsers refuse those.
    const unescaped = typeof value[key] === "string" && key.endsWith("url") && value[key].includes("[");
    if (value[key] === undefined || value[key] === null || unescaped) value[key] = fallback;
  }
}

function fillCheckRun(value) {
  if (value.output && typeof value.output === "object" && "annotations_count" in value.output) {
    value.output.annotations_url ??= `${value.url}/annotations`;
  }
}

function fillApp(value, { gh }) {
  if (!("installations_count" in value) || value.owner !== null) return;
  const org = gh.orgs.all()[0];
  const owner = org ?? gh.users.all()[0];
  value.owner = { login: owner.login, id: owner.id, node_id: owner.node_id, type: org ? "Organization" : "User" };
}

function fillInstallation(value) {
  if (value.access_tokens_url) value.target_id ??= value.account?.id;
}

function fillRepository(value, { baseUrl }) {
  if (!value.full_name || !value.node_id) return;
  value.url ??= `${baseUrl}/repos/${value.full_name}`;
  if (!("default_branch" in value)) return; // the short form that lists of an installation use
  value.web_commit_signoff_required ??= false;
  value.custom_properties ??= {};
  value.network_count ??= value.forks_count;
  value.subscribers_count ??= 0;
}

function fillCommit(value) {
  const tree = value.commit?.tree;
  if (tree?.sha && value.url) tree.url ??= value.url.replace(/\/commits\/[^/]+$/, `/git/trees/${tree.sha}`);
}

function fillPermission(value) {
  if (!value.role_name || !value.user) return;
  const rank = ["none", "read", "triage", "write", "maintain", "admin"].indexOf(value.role_name);
  value.user.role_name ??= value.role_name;
  value.user.permissions ??= {
    pull: rank >= 1,
    triage: rank >= 2,
    push: rank >= 3,
    maintain: rank >= 4,
    admin: rank >= 5,
  };
}
