// Control calls that look: what GitHub would show now, what was asked of it, what was wrong with that; and the faults.
import { ControlError } from "../adapter/world.mjs";

export function stateControls({ world, checks, conversation, log, faults, mirror, repositories }) {
  const { gh } = world;
  const loginOf = (id) => gh.users.get(id)?.login ?? null;
  const nameOf = (id) => gh.repos.get(id)?.full_name ?? null;

  function state({ query }) {
    const repo = query.get("repo");
    const mine = (row) => !repo || nameOf(row.repo_id) === repo;
    return {
      repositories: gh.repos.all().map((row) => ({
        ...{ id: row.id, full_name: row.full_name, private: row.private, default_branch: row.default_branch },
        refs: Object.fromEntries(mirror.storeRefs(row)),
      })),
      pull_requests: gh.pullRequests.all().filter(mine).map(showPull),
      check_runs: gh.checkRuns.all().filter(mine).map(showRun),
      comments: gh.comments.all().filter(mine).map(showComment),
      reactions: conversation.reactions(),
    };
  }

  const showPull = (row) => ({
    ...{ repo: nameOf(row.repo_id), number: row.number, title: row.title, state: row.state, draft: row.draft },
    ...{ merged: row.merged, user: loginOf(row.user_id), commits: row.commits, changed_files: row.changed_files },
    head: { repo: nameOf(row.head_repo_id), ref: row.head_ref, sha: row.head_sha },
    base: { ref: row.base_ref, sha: row.base_sha },
  });

  const showRun = (row) => ({
    ...{ repo: nameOf(row.repo_id), id: row.id, name: row.name, head_sha: row.head_sha, external_id: row.external_id },
    ...{ status: row.status, conclusion: row.conclusion, details_url: row.details_url },
    ...{ started_at: row.started_at, completed_at: row.completed_at, actions: row.actions ?? [] },
    output: { title: row.output.title, summary: row.output.summary, text: row.output.text, ...checks.extras(row.id) },
  });

  const showComment = (row) => ({
    ...{ repo: nameOf(row.repo_id), id: row.id, type: row.comment_type, number: row.issue_number ?? row.pull_number },
    ...{ user: loginOf(row.user_id), body: row.body, created_at: row.created_at, updated_at: row.updated_at },
  });

  /** Compares every branch of the store with the bare repository: an empty list means they are equal. */
  async function differences() {
    const found = [];
    for (const repo of gh.repos.all().filter((row) => repositories.exists(row.full_name))) {
      const store = mirror.storeRefs(repo);
      const bare = await repositories.refs(repo.full_name);
      for (const ref of new Set([...store.keys(), ...bare.keys()])) {
        if (store.get(ref) === bare.get(ref)) continue;
        found.push({ repo: repo.full_name, ref, store: store.get(ref) ?? null, git: bare.get(ref) ?? null });
      }
    }
    return found;
  }

  function addFault({ body }) {
    try {
      return faults.add(body);
    } catch (error) {
      throw new ControlError(422, error.message);
    }
  }

  return [
    { method: "GET", path: "/_stand-in/state", handle: state },
    { method: "GET", path: "/_stand-in/differences", handle: differences },
    {
      method: "GET",
      path: "/_stand-in/requests",
      handle: ({ query }) =>
        log.list({ method: query.get("method"), path: query.get("path"), since: Number(query.get("since") ?? 0) }),
    },
    { method: "DELETE", path: "/_stand-in/requests", handle: () => log.clear() },
    { method: "GET", path: "/_stand-in/violations", handle: () => log.violations() },
    { method: "GET", path: "/_stand-in/faults", handle: () => faults.list() },
    { method: "POST", path: "/_stand-in/faults", handle: addFault },
    { method: "DELETE", path: "/_stand-in/faults", handle: () => faults.clear() },
  ];
}
