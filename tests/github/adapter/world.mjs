// What every room of the adapter is handed: the emulator, and in-process requests on behalf of a user.

/** @returns the emulator with the means to act in it. */
export function makeWorld(emulator) {
  const { gh, baseUrl, tokens } = emulator;
  const userTokens = new Map();

  /** A token of this user that only this process knows; control calls act through it. */
  function tokenOf(login) {
    if (!gh.users.findOneBy("login", login)) throw new ControlError(422, `no user '${login}' in the seed`);
    let token = userTokens.get(login);
    if (!token) {
      token = `stand-in-user-${userTokens.size + 1}-${login}`;
      userTokens.set(login, token);
      const user = gh.users.findOneBy("login", login);
      tokens.set(token, { login, id: user.id, scopes: ["repo", "user", "admin:org", "admin:repo_hook"] });
    }
    return token;
  }

  /** Calls emulate as `login`; throws ControlError with emulate's message when it refuses. */
  async function api(login, method, path, body) {
    const response = await emulator.fetch(
      new Request(baseUrl + path, {
        method,
        headers: { authorization: `Bearer ${tokenOf(login)}`, "content-type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
    );
    const text = await response.text();
    const json = text ? JSON.parse(text) : null;
    if (!response.ok) throw new ControlError(response.status, `${method} ${path}: ${json?.message ?? text}`);
    return json;
  }

  function repository(fullName) {
    const repo = gh.repos.findOneBy("full_name", String(fullName));
    if (!repo) throw new ControlError(404, `no repository '${fullName}'`);
    return repo;
  }

  function pullRequest(fullName, number) {
    const repo = repository(fullName);
    const pull = gh.pullRequests.findBy("repo_id", repo.id).find((row) => row.number === Number(number));
    if (!pull) throw new ControlError(404, `no pull request #${number} in ${fullName}`);
    return pull;
  }

  /** Somebody who may see and change everything in the repository; reads for payloads go through them. */
  function adminOf(repo) {
    if (repo.owner_type === "User") return gh.users.get(repo.owner_id).login;
    const teams = gh.teams.findBy("org_id", repo.owner_id).map((team) => team.id);
    const admin = gh.teamMembers.all().find((row) => row.role === "maintainer" && teams.includes(row.team_id));
    if (!admin) throw new ControlError(422, `the seed gives the owner of ${repo.full_name} no admin member`);
    return gh.users.get(admin.user_id).login;
  }

  const repositoryJson = (repo) => api(adminOf(repo), "GET", `/repos/${repo.full_name}`);
  const pullRequestJson = (repo, number) => api(adminOf(repo), "GET", `/repos/${repo.full_name}/pulls/${number}`);
  const fillers = [];
  return { ...emulator, api, tokenOf, repository, pullRequest, adminOf, repositoryJson, pullRequestJson, fillers };
}

/** A mistake of the test that calls the control API: answered as JSON with this status. */
export class ControlError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}
