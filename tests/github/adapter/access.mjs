// Who is asking, and may they. emulate enforces what a token may do; it takes unknown credentials for anonymous ones,
// knows no limits on an App JWT's life, and words collaborator roles in its own way. Those are put right here.
import { createPublicKey, verify } from "node:crypto";

const JWT_LIFE_S = 600;
const CLOCK_DRIFT_S = 60;
const JWT_PATHS = /^\/(app(\/|$)|apps\/|(repos\/[^/]+\/[^/]+|orgs\/[^/]+|users\/[^/]+)\/installation$)/;

export function makeAccess(world) {
  const { gh, tokens } = world;

  /** @param {string|undefined} authorization header, or a bare token */
  function identify(authorization) {
    if (!authorization) return { kind: "anonymous" };
    const token = authorization.replace(/^(bearer|token)\s+/i, "").trim();
    if (token.startsWith("eyJ")) return identifyApp(gh, token);
    const user = tokens.get(token);
    if (!user) return { kind: "unknown", why: "Bad credentials" };
    if (!user.installation) return { kind: "user", login: user.login, roleIn: (repo) => roleOf(gh, repo, user.login) };
    const { installationId, permissions, repositoryIds, repositorySelection, accountId } = user.installation;
    return {
      kind: "installation",
      installationId,
      permissions,
      repositoryIds,
      covers: (repo) =>
        repo.owner_id === accountId && (repositorySelection === "all" || repositoryIds.includes(repo.id)),
    };
  }

  /** The refusal GitHub gives before it looks at the path, or undefined. */
  function refusal(caller, path) {
    if (caller.kind === "unknown") return { status: 401, message: caller.why };
    if (caller.kind === "app" && !JWT_PATHS.test(path)) {
      return { status: 401, message: "Requires authentication: an App JWT is not accepted here" };
    }
    const asked = /^\/app\/installations\/(\d+)\/access_tokens$/.exec(path)?.[1];
    const id = caller.installationId ?? Number(asked);
    const suspended = gh.appInstallations.all().some((row) => row.installation_id === id && row.suspended_at);
    return suspended ? { status: 403, message: "This installation has been suspended" } : undefined;
  }

  /** Makes every installation token unknown, as an hour's passing does. */
  function expireTokens() {
    const expired = [...tokens].filter(([, user]) => user.installation);
    for (const [token] of expired) tokens.delete(token);
    return expired.length;
  }

  return { identify, refusal, expireTokens };
}

/** What the request log keeps of a caller: no token, no key. */
export function describeCaller({ kind, login, installationId, permissions, repositoryIds, appId, why }) {
  return {
    kind,
    login,
    installation_id: installationId,
    permissions,
    repository_ids: repositoryIds,
    app_id: appId,
    why,
  };
}

function identifyApp(gh, token) {
  const unknown = (why) => ({ kind: "unknown", why });
  const [header64, claims64, signature64] = token.split(".");
  let header;
  let claims;
  try {
    header = JSON.parse(Buffer.from(header64, "base64url"));
    claims = JSON.parse(Buffer.from(claims64, "base64url"));
  } catch {
    return unknown("A JSON web token could not be decoded");
  }
  const app = gh.apps.all().find((row) => String(row.app_id) === String(claims.iss));
  if (!app) return unknown("'Issuer' claim ('iss') must be an Integer");
  const signed = Buffer.from(`${header64}.${claims64}`);
  const genuine =
    header.alg === "RS256" &&
    verify("sha256", signed, createPublicKey(app.private_key), Buffer.from(signature64 ?? "", "base64url"));
  if (!genuine) return unknown("A JSON web token could not be decoded");
  const now = Date.now() / 1000;
  if (!(claims.exp > now - CLOCK_DRIFT_S)) {
    return unknown("'Expiration time' claim ('exp') must be a numeric value representing the future time");
  }
  if (claims.exp > now + JWT_LIFE_S + CLOCK_DRIFT_S) {
    return unknown("'Expiration time' claim ('exp') is too far in the future");
  }
  if (claims.iat > now + CLOCK_DRIFT_S) return unknown("'Issued at' claim ('iat') must be an Integer in the past");
  return { kind: "app", appId: app.app_id };
}

const RANK = ["none", "read", "triage", "write", "maintain", "admin"];
const FROM_EMULATE = { pull: "read", push: "write" };

/** A user's role in a repository, in GitHub's words. */
export function roleOf(gh, repo, login) {
  const user = gh.users.findOneBy("login", login);
  if (!user) return "none";
  if (repo.owner_type === "User" && repo.owner_id === user.id) return "admin";
  const roles = [repo.private ? "none" : "read"];
  const row = gh.collaborators.findBy("repo_id", repo.id).find((candidate) => candidate.user_id === user.id);
  if (row) roles.push(FROM_EMULATE[row.permission] ?? row.permission);
  if (repo.owner_type === "Organization") {
    const teams = gh.teams.findBy("org_id", repo.owner_id).map((team) => team.id);
    const memberships = gh.teamMembers.findBy("user_id", user.id).filter((member) => teams.includes(member.team_id));
    if (memberships.length) roles.push(gh.orgs.get(repo.owner_id).default_repository_permission);
    if (memberships.some((member) => member.role === "maintainer")) roles.push("admin");
  }
  return roles.reduce((best, role) => (RANK.indexOf(role) > RANK.indexOf(best) ? role : best));
}

/** The older, coarser word beside `role_name` in GitHub's permission answer. */
function coarse(role) {
  return { maintain: "write", triage: "read" }[role] ?? role;
}

/** Routes that emulate answers in its own way or not at all. */
export const accessRoutes = [
  {
    method: "GET",
    path: "/repos/:owner/:repo/collaborators/:login/permission",
    async handle({ world, params, asCaller }) {
      const seen = await asCaller("GET", `/repos/${params.owner}/${params.repo}`);
      if (!seen.ok) return seen;
      const { gh } = world;
      const user = gh.users.findOneBy("login", params.login);
      if (!user) return Response.json({ message: `${params.login} is not a user` }, { status: 404 });
      const role = roleOf(gh, world.repository(`${params.owner}/${params.repo}`), params.login);
      return Response.json({ permission: coarse(role), role_name: role, user: accountOf(user) });
    },
  },
  {
    method: "GET",
    path: "/installation/repositories",
    async handle({ world, caller, query }) {
      if (caller.kind !== "installation") return Response.json({ message: "Resource not accessible" }, { status: 403 });
      const covered = world.gh.repos.all().filter((repo) => caller.covers(repo));
      const perPage = Math.min(Number(query.get("per_page") ?? 30), 100);
      const start = (Number(query.get("page") ?? 1) - 1) * perPage;
      const repositories = await Promise.all(
        covered.slice(start, start + perPage).map((repo) => world.repositoryJson(repo)),
      );
      const next = start + perPage < covered.length ? nextLink(world, query, perPage) : {};
      const selection = caller.repositoryIds.length ? "selected" : "all";
      return Response.json(
        { total_count: covered.length, repository_selection: selection, repositories },
        { headers: next },
      );
    },
  },
];

function nextLink(world, query, perPage) {
  const page = Number(query.get("page") ?? 1) + 1;
  return { link: `<${world.baseUrl}/installation/repositories?per_page=${perPage}&page=${page}>; rel="next"` };
}

/** The short form of a user that payloads carry; shapes.mjs adds its URLs. */
export function accountOf(user) {
  return { login: user.login, id: user.id, node_id: user.node_id, type: user.type, site_admin: user.site_admin };
}
