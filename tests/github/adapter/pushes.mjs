// One way for a branch to move by git, whoever moved it: control call, merge, or a real `git push` over HTTP. Objects
// and refs are made equal on both sides first, then `push`, `check_suite` and `pull_request.synchronize` are sent.
import { accountOf } from "./access.mjs";
import { pushPayload } from "./pull-requests.mjs";
import { ControlError } from "./world.mjs";

const ZERO = "0".repeat(40);

export function makePushes(world, { events, mirror, repositories, pullRequests }) {
  const { gh } = world;

  /** Moves `ref` to `after` (null deletes it) and tells the App. @returns the deliveries it caused */
  async function move(repo, ref, after, login) {
    const before = mirror.storeRefs(repo).get(ref) ?? null;
    if (before === after) return [];
    if (after) await mirror.importObjects(repo, after);
    await repositories.setRef(repo.full_name, ref, after);
    mirror.setStoreRef(repo, ref, after);
    const payload = await pushPayload({
      ...{ world, repositories, repo, ref, login },
      before: before ?? ZERO,
      after: after ?? ZERO,
    });
    const deliveries = [events.emit({ event: "push", payload })];
    if (after && ref.startsWith("refs/heads/")) {
      deliveries.push(await requestSuite(repo, ref, before, after, login));
      deliveries.push(...(await pullRequests.follow(repo, ref, after, login)));
    }
    return deliveries.filter(Boolean);
  }

  /** GitHub opens a check suite for every App that may write checks, on every push. */
  async function requestSuite(repo, ref, before, after, login) {
    const branch = ref.slice("refs/heads/".length);
    let suite = gh.checkSuites.findBy("head_sha", after).find((row) => row.repo_id === repo.id);
    suite ??= gh.checkSuites.insert({
      ...{ node_id: `CS_${after}`, repo_id: repo.id, head_branch: branch, head_sha: after },
      ...{ status: "queued", conclusion: null, before: before ?? ZERO, after, app_id: null },
    });
    const payload = {
      action: "requested",
      check_suite: await world.api(world.adminOf(repo), "GET", `/repos/${repo.full_name}/check-suites/${suite.id}`),
      repository: await world.repositoryJson(repo),
      sender: accountOf(gh.users.findOneBy("login", login)),
    };
    return events.emit({ event: "check_suite", action: "requested", payload });
  }

  // Two pushes at once would both start from the same tip; GitHub takes one ref update after the other, and so do we.
  let last = Promise.resolve();
  function inTurn(work) {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  }

  /** Makes a commit from files or a folder on a branch and pushes it. */
  async function commit({ repo: fullName, branch, files, folder, message, as, parent, force, date, author }) {
    const repo = world.repository(fullName);
    const ref = `refs/heads/${branch ?? repo.default_branch}`;
    const refs = mirror.storeRefs(repo);
    const tip = refs.get(ref);
    const from = parent ? await repositories.resolve(fullName, parent) : (tip ?? refs.get(defaultRef(repo)));
    if (parent && !from) throw new ControlError(422, `no commit '${parent}' in ${fullName}`);
    if (tip && from !== tip && !force) throw new ControlError(422, "not a fast-forward; set force");
    const user = gh.users.findOneBy("login", as);
    if (!user) throw new ControlError(422, `no user '${as}' in the seed`);
    const sha = await repositories.commit(fullName, {
      ...{ files, folder, date },
      parents: from ? [from] : [],
      message: message ?? "Change",
      author: author ?? { name: user.name ?? as, email: user.email ?? `${as}@users.noreply.github.com` },
    });
    const deliveries = await move(repo, ref, sha, as);
    return { sha, before: tip ?? null, ref, deliveries };
  }

  /** After a real `git push`: what the bare repository now has and the store has not. */
  async function afterReceive(repo, login) {
    const now = await repositories.refs(repo.full_name);
    const known = mirror.storeRefs(repo);
    const own = (ref) => /^refs\/(heads|tags)\//.test(ref);
    for (const [ref, sha] of now) if (own(ref) && known.get(ref) !== sha) await move(repo, ref, sha, login);
    for (const ref of known.keys()) if (own(ref) && !now.has(ref)) await move(repo, ref, null, login);
  }

  return {
    inTurn,
    move,
    commit: (change) => inTurn(() => commit(change)),
    afterReceive: (repo, login) => inTurn(() => afterReceive(repo, login)),
  };
}

function defaultRef(repo) {
  return `refs/heads/${repo.default_branch}`;
}
