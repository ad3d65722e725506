// What emulate's pull requests lack: heads that follow a push (`synchronize`), the files of a change, real counts, and
// forks whose commits can be fetched from the base repository (`refs/pull/N/head`), as on GitHub.
import { accountOf } from "./access.mjs";

const ZERO = "0".repeat(40);

export function makePullRequests(world, { events, mirror, repositories }) {
  const { gh, baseUrl } = world;

  /** Counts, and in the base repository the objects of the head: after opening and after every push. */
  async function refresh(pull) {
    const base = gh.repos.get(pull.base_repo_id);
    const head = gh.repos.get(pull.head_repo_id);
    const headRef = `refs/pull/${pull.number}/head`;
    if (head.id === base.id) await repositories.setRef(base.full_name, headRef, pull.head_sha);
    else await repositories.fetchInto(base.full_name, head.full_name, `refs/heads/${pull.head_ref}`, headRef);
    await mirror.importObjects(base, pull.head_sha);
    mirror.setStoreRef(base, headRef, pull.head_sha);
    const comparison = await compare(base, pull);
    const sum = (member) => comparison.files.reduce((total, file) => total + file[member], 0);
    return gh.pullRequests.update(pull.id, {
      commits: comparison.total_commits,
      changed_files: comparison.files.length,
      additions: sum("additions"),
      deletions: sum("deletions"),
    });
  }

  const compare = (base, pull) =>
    world.api(world.adminOf(base), "GET", `/repos/${base.full_name}/compare/${pull.base_sha}...${pull.head_sha}`);

  async function emit(pull, action, login, extra = {}) {
    const base = gh.repos.get(pull.base_repo_id);
    const payload = {
      action,
      number: pull.number,
      pull_request: await world.pullRequestJson(base, pull.number),
      repository: await world.repositoryJson(base),
      sender: accountOf(gh.users.findOneBy("login", login)),
      ...extra,
    };
    return events.emit({ event: "pull_request", action, payload });
  }

  async function open({ repo, title, head, base, body = null, draft = false, as }) {
    const baseRepo = world.repository(repo);
    const created = await events.quietly(() =>
      world.api(as, "POST", `/repos/${repo}/pulls`, {
        title,
        head,
        base: base ?? baseRepo.default_branch,
        body,
        draft,
      }),
    );
    const pull = await refresh(world.pullRequest(repo, created.number));
    const delivery = await emit(pull, "opened", as);
    return { pull, delivery };
  }

  /** After a branch of `repo` moved: the open pull requests from it get a new head, and `synchronize` is sent. */
  async function follow(repo, ref, after, login) {
    const branch = ref.replace(/^refs\/heads\//, "");
    const moved = gh.pullRequests
      .all()
      .filter((pull) => pull.state === "open" && pull.head_repo_id === repo.id && pull.head_ref === branch);
    const deliveries = [];
    for (const pull of moved) {
      const before = pull.head_sha;
      if (before === after) continue;
      const base = mirror.storeRefs(gh.repos.get(pull.base_repo_id)).get(`refs/heads/${pull.base_ref}`);
      gh.pullRequests.update(pull.id, { head_sha: after, base_sha: base ?? pull.base_sha });
      const refreshed = await refresh(gh.pullRequests.get(pull.id));
      deliveries.push(await emit(refreshed, "synchronize", login, { before, after }));
    }
    return deliveries;
  }

  /** A merge commit made by git, pushed to the base branch, with the events a merge sends. */
  async function merge({ repo, number, as, message }, push) {
    const base = world.repository(repo);
    const pull = world.pullRequest(repo, number);
    const tip = mirror.storeRefs(base).get(`refs/heads/${pull.base_ref}`);
    const tree = await repositories.text(repo, ["merge-tree", "--write-tree", tip, pull.head_sha]);
    const user = gh.users.findOneBy("login", as);
    const sha = await repositories.commitTree(repo, {
      tree,
      parents: [tip, pull.head_sha],
      author: { name: user.name ?? as, email: user.email ?? `${as}@users.noreply.github.com` },
      message: message ?? `Merge pull request #${number} from ${pull.head_ref}\n\n${pull.title}`,
    });
    const now = new Date().toISOString();
    const merged = gh.pullRequests.update(pull.id, {
      ...{ state: "closed", merged: true, merged_at: now, closed_at: now, merged_by_id: user.id },
      merge_commit_sha: sha,
    });
    const issue = gh.issues.findBy("repo_id", base.id).find((row) => row.number === pull.number);
    if (issue) gh.issues.update(issue.id, { state: "closed", closed_at: now });
    await push(base, `refs/heads/${pull.base_ref}`, sha, as);
    await emit(merged, "closed", as);
    return sha;
  }

  /** `closed`, `reopened`, `edited`, `labeled`, … with the change applied first; `extra` is e.g. the label. */
  async function change({ repo, number, action, as, set = {}, extra = {} }) {
    const pull = world.pullRequest(repo, number);
    const states = { closed: { state: "closed" }, reopened: { state: "open" }, ready_for_review: { draft: false } };
    gh.pullRequests.update(pull.id, { ...states[action], ...set, updated_at: new Date().toISOString() });
    return emit(gh.pullRequests.get(pull.id), action, as, extra);
  }

  const routes = [
    {
      method: "GET",
      path: "/repos/:owner/:repo/pulls/:number/files",
      async handle({ params, query, asCaller }) {
        const name = `${params.owner}/${params.repo}`;
        const seen = await asCaller("GET", `/repos/${name}/pulls/${params.number}`);
        if (!seen.ok) return seen;
        const { files } = await compare(world.repository(name), world.pullRequest(name, params.number));
        const perPage = Math.min(Number(query.get("per_page") ?? 30), 100);
        const page = Number(query.get("page") ?? 1);
        const more = page * perPage < files.length;
        const url = `${baseUrl}/repos/${name}/pulls/${params.number}/files?per_page=${perPage}`;
        const headers = more ? { link: `<${url}&page=${page + 1}>; rel="next"` } : {};
        return Response.json(files.slice((page - 1) * perPage, page * perPage), { headers });
      },
    },
    {
      method: "GET",
      path: "/repos/:owner/:repo/commits/:sha/pulls",
      async handle({ params, asCaller }) {
        const name = `${params.owner}/${params.repo}`;
        const all = await asCaller("GET", `/repos/${name}/pulls?state=all&per_page=100`);
        if (!all.ok) return all;
        const pulls = await all.json();
        return Response.json(pulls.filter((pull) => [pull.head.sha, pull.merge_commit_sha].includes(params.sha)));
      },
    },
  ];

  return { open, follow, merge, change, routes };
}

/** The payload of `push`, as GitHub sends it to an App. */
export async function pushPayload({ world, repositories, repo, ref, before, after, login }) {
  const { gh, baseUrl } = world;
  const user = gh.users.findOneBy("login", login);
  const url = `${baseUrl}/${repo.full_name}`;
  const commits = after === ZERO ? [] : await describeCommits({ repositories, repo, before, after, url, user });
  return {
    ref,
    before,
    after,
    repository: pushedRepository(await world.repositoryJson(repo)),
    pusher: { name: login, email: user.email ?? null },
    sender: accountOf(user),
    created: before === ZERO,
    deleted: after === ZERO,
    forced: before !== ZERO && after !== ZERO && !(await isAncestor(repositories, repo, before, after)),
    base_ref: null,
    compare: `${url}/compare/${before.slice(0, 12)}...${after.slice(0, 12)}`,
    commits,
    head_commit: commits.at(-1) ?? null,
  };
}

/** In `push`, and nowhere else, GitHub writes two dates as seconds and doubles some members. */
function pushedRepository(repository) {
  const seconds = (date) => Math.floor(Date.parse(date) / 1000);
  return {
    ...repository,
    created_at: seconds(repository.created_at),
    pushed_at: seconds(repository.pushed_at ?? repository.updated_at),
    stargazers: repository.stargazers_count,
    master_branch: repository.default_branch,
    owner: { ...repository.owner, name: repository.owner.login, email: null },
  };
}

async function isAncestor(repositories, repo, before, after) {
  try {
    await repositories.run(repo.full_name, ["merge-base", "--is-ancestor", before, after]);
    return true;
  } catch {
    return false;
  }
}

async function describeCommits({ repositories, repo, before, after, url, user }) {
  const range = before === ZERO ? ["--max-count=1", after] : ["--max-count=20", `${before}..${after}`];
  const format = "--format=%x00%H%x01%T%x01%cI%x01%an%x01%ae%x01%B%x01";
  const text = await repositories.text(repo.full_name, ["log", "--reverse", "--name-status", format, ...range]);
  return text
    .split("\0")
    .filter(Boolean)
    .map((entry) => {
      const [id, tree, timestamp, name, email, message, names = ""] = entry.split("\x01");
      const changed = names
        .trim()
        .split("\n")
        .filter(Boolean)
        .map((line) => line.split("\t"));
      const paths = (letter) => changed.filter(([status]) => status.startsWith(letter)).map(([, path]) => path);
      const author = { name, email, username: user.login };
      return {
        id,
        tree_id: tree,
        distinct: true,
        message: message.trim(),
        timestamp,
        url: `${url}/commit/${id}`,
        author,
        committer: author,
        added: paths("A"),
        removed: paths("D"),
        modified: paths("M"),
      };
    });
}
