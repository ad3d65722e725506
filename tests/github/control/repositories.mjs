// Control calls about repositories: create, fork, push, members, tokens.
import { addCollaborator } from "../adapter/emulator.mjs";
import { roleOf } from "../adapter/access.mjs";
import { ControlError } from "../adapter/world.mjs";
import { need, shownDeliveries } from "./calls.mjs";

const ROLES = { read: "pull", triage: "triage", write: "push", maintain: "maintain", admin: "admin" };

export function repositoryControls({ world, events, mirror, repositories, pushes, access, deliveries }) {
  const { gh } = world;

  /** Adds a repository to the App's installation on its owner, as the "selected repositories" page does. */
  function install(repo) {
    const installation = gh.appInstallations.all().find((row) => row.account_id === repo.owner_id);
    if (!installation || installation.repository_selection === "all") return installation;
    const ids = new Set([...installation.repository_ids, repo.id]);
    return gh.appInstallations.update(installation.id, { repository_ids: [...ids] });
  }

  async function create({ body }) {
    need(body, ["repo"]);
    const [owner, name] = body.repo.split("/");
    const org = gh.orgs.findOneBy("login", owner);
    const as = body.as ?? (org ? world.adminOf({ owner_type: "Organization", owner_id: org.id }) : owner);
    const settings = { name, private: body.private ?? false, description: body.description ?? null, auto_init: false };
    await events.quietly(() => world.api(as, "POST", org ? `/orgs/${owner}/repos` : "/user/repos", settings));
    const row = world.repository(body.repo);
    const branch = body.default_branch ?? "main";
    gh.repos.update(row.id, { default_branch: branch });
    await repositories.init(body.repo, branch);
    const repo = gh.repos.get(row.id);
    const message = body.message ?? "Initial commit";
    const content = { files: body.files ?? (body.folder ? {} : { "README.md": `# ${name}\n` }), folder: body.folder };
    const { sha } = await events.quietly(() =>
      commitQuietly({ repo, branch, as, message, date: body.date, ...content }),
    );
    if (body.install ?? true) install(repo);
    if (body.announce) await announce(repo, as);
    return {
      repo: body.repo,
      id: repo.id,
      default_branch: branch,
      sha,
      clone_url: `${world.baseUrl}/${body.repo}.git`,
    };
  }

  /** The first commit of a new repository: GitHub sends no webhook to an App that was not there yet. */
  async function commitQuietly({ repo, branch, as, message, date, files, folder }) {
    const user = gh.users.findOneBy("login", as);
    const author = { name: user.name ?? as, email: user.email ?? `${as}@users.noreply.github.com` };
    const sha = await repositories.commit(repo.full_name, { parents: [], files, folder, message, author, date });
    await repositories.setRef(repo.full_name, `refs/heads/${branch}`, sha);
    await mirror.importObjects(repo, sha);
    mirror.setStoreRef(repo, `refs/heads/${branch}`, sha);
    return { sha };
  }

  async function announce(repo, as) {
    const added = {
      id: repo.id,
      node_id: repo.node_id,
      name: repo.name,
      full_name: repo.full_name,
      private: repo.private,
    };
    const installation = gh.appInstallations.all().find((row) => row.account_id === repo.owner_id);
    const payload = {
      action: "added",
      installation: await installationJson(world, installation),
      repository_selection: installation.repository_selection,
      repositories_added: [added],
      repositories_removed: [],
      requester: null,
      sender: gh.users.findOneBy("login", as),
    };
    events.emit({ event: "installation_repositories", action: "added", payload });
    await deliveries.idle();
  }

  async function fork({ body }) {
    need(body, ["repo", "as"]);
    const parent = world.repository(body.repo);
    const fullName = `${body.as}/${body.name ?? parent.name}`;
    await events.quietly(() => world.api(body.as, "POST", `/repos/${body.repo}/forks`, { name: body.name }));
    const repo = world.repository(fullName);
    for (const table of [gh.refs, gh.branches]) {
      for (const row of table.findBy("repo_id", repo.id)) table.delete(row.id);
    }
    await repositories.init(fullName, parent.default_branch);
    for (const [ref, sha] of mirror.storeRefs(parent)) {
      if (!ref.startsWith("refs/heads/")) continue;
      await repositories.fetchInto(fullName, body.repo, ref, ref);
      await mirror.importObjects(repo, sha);
      mirror.setStoreRef(repo, ref, sha);
    }
    return { repo: fullName, id: repo.id, clone_url: `${world.baseUrl}/${fullName}.git` };
  }

  async function push({ body }) {
    need(body, ["repo", "as"]);
    const repo = world.repository(body.repo);
    if (["none", "read", "triage"].includes(roleOf(gh, repo, body.as))) {
      throw new ControlError(403, `${body.as} may not push to ${body.repo}; fork it first`);
    }
    const { deliveries: sent, ...pushed } = await pushes.commit(body);
    return { ...pushed, deliveries: await shownDeliveries(deliveries, sent, body.wait) };
  }

  async function deleteBranch({ body }) {
    need(body, ["repo", "branch", "as"]);
    const repo = world.repository(body.repo);
    const sent = await pushes.inTurn(() => pushes.move(repo, `refs/heads/${body.branch}`, null, body.as));
    return { deliveries: await shownDeliveries(deliveries, sent, body.wait) };
  }

  function setRole({ body }) {
    need(body, ["repo", "login", "role"]);
    if (!ROLES[body.role]) throw new ControlError(422, `role is one of ${Object.keys(ROLES).join(", ")}`);
    addCollaborator(gh, world.repository(body.repo), body.login, ROLES[body.role]);
    return { role: roleOf(gh, world.repository(body.repo), body.login) };
  }

  return [
    { method: "POST", path: "/_stand-in/repositories", handle: create },
    { method: "POST", path: "/_stand-in/forks", handle: fork },
    { method: "POST", path: "/_stand-in/push", handle: push },
    { method: "DELETE", path: "/_stand-in/branches", handle: deleteBranch },
    { method: "POST", path: "/_stand-in/collaborators", handle: setRole },
    { method: "POST", path: "/_stand-in/tokens/expire", handle: () => ({ expired: access.expireTokens() }) },
    { method: "POST", path: "/_stand-in/tokens/user", handle: ({ body }) => ({ token: world.tokenOf(body.login) }) },
  ];
}

/** The long form of an installation, as its own events carry it. */
export async function installationJson({ gh, baseUrl }, installation) {
  const account = gh.orgs.get(installation.account_id) ?? gh.users.get(installation.account_id);
  const app = gh.apps.all()[0];
  return {
    id: installation.installation_id,
    account: { login: account.login, id: account.id, node_id: account.node_id, type: installation.account_type },
    repository_selection: installation.repository_selection,
    access_tokens_url: `${baseUrl}/app/installations/${installation.installation_id}/access_tokens`,
    repositories_url: `${baseUrl}/installation/repositories`,
    html_url: `${baseUrl}/settings/installations/${installation.installation_id}`,
    app_id: app.app_id,
    app_slug: app.slug,
    target_id: account.id,
    target_type: installation.account_type,
    permissions: installation.permissions,
    events: installation.events,
    created_at: installation.created_at,
    updated_at: installation.updated_at,
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: null,
    suspended_at: null,
  };
}
