// What emulate's check runs lack: the App that owns them, the pull requests they show on, annotations that add up over
// updates and keep their titles, and refusals GitHub gives. A completed run stays completed: GitHub has no way back,
// the App has to create a fresh one, so an attempt to reopen is recorded as a violation and has no effect.
const RUN = "/repos/:owner/:repo/check-runs/:id";

export function makeChecks(world) {
  const { gh, baseUrl } = world;
  const annotations = new Map(); // check run id -> everything ever sent, in order
  const images = new Map();

  function keep(id, { output, actions }) {
    // emulate looks for `id` in an action where GitHub says `identifier`, and so keeps none.
    if (Array.isArray(actions)) gh.checkRuns.update(id, { actions });
    const more = Array.isArray(output?.annotations) ? output.annotations : [];
    annotations.set(id, [...(annotations.get(id) ?? []), ...more]);
    if (Array.isArray(output?.images)) images.set(id, [...(images.get(id) ?? []), ...output.images]);
    const row = gh.checkRuns.get(id);
    if (row) {
      const all = annotations.get(id);
      gh.checkRuns.update(id, { output: { ...row.output, annotations: all, annotations_count: all.length } });
    }
  }

  const refuse = (status, message) => Response.json({ message }, { status });
  const onlyApps = ({ caller }) =>
    caller.kind === "installation" ? undefined : refuse(403, "You must authenticate via a GitHub App.");

  async function passOn(context, asked) {
    // "Providing conclusion will automatically set the status parameter to completed", as GitHub's reference says.
    const body = asked.conclusion && asked.status === undefined ? { ...asked, status: "completed" } : asked;
    const response = await context.emulate(body);
    if (!response.ok) return response;
    const json = await response.json();
    keep(json.id, body);
    json.output.annotations_count = annotations.get(json.id).length;
    return Response.json(json, { status: response.status });
  }

  const routes = [
    {
      method: "POST",
      path: "/repos/:owner/:repo/check-runs",
      async handle(context) {
        const { params, json: body } = context;
        const refused = onlyApps(context);
        if (refused) return refused;
        const repo = gh.repos.findOneBy("full_name", `${params.owner}/${params.repo}`);
        if (repo && body?.head_sha && !gh.commits.findBy("sha", body.head_sha).some((row) => row.repo_id === repo.id)) {
          return refuse(422, `No commit found for SHA: ${body.head_sha}`);
        }
        return passOn(context, body ?? {});
      },
    },
    {
      method: "PATCH",
      path: RUN,
      async handle(context) {
        const refused = onlyApps(context);
        if (refused) return refused;
        const body = { ...context.json };
        const row = gh.checkRuns.get(Number(context.params.id));
        if (row?.status === "completed" && body.status !== undefined && body.status !== "completed") {
          context.violation("check-run-reopened", `check run ${row.id} is completed; create a new one`);
          delete body.status;
        }
        return passOn(context, body);
      },
    },
    {
      method: "GET",
      path: `${RUN}/annotations`,
      async handle({ world: { baseUrl: base }, params, query, asCaller }) {
        const run = await asCaller("GET", `/repos/${params.owner}/${params.repo}/check-runs/${params.id}`);
        if (!run.ok) return run;
        const { head_sha: sha } = await run.json();
        const perPage = Math.min(Number(query.get("per_page") ?? 30), 100);
        const start = (Number(query.get("page") ?? 1) - 1) * perPage;
        const page = (annotations.get(Number(params.id)) ?? []).slice(start, start + perPage);
        const blob = `${base}/${params.owner}/${params.repo}/blob/${sha}`;
        const empty = { start_column: null, end_column: null, title: null, raw_details: null };
        return Response.json(page.map((item) => ({ ...empty, ...item, blob_href: `${blob}/${item.path}` })));
      },
    },
    {
      method: "POST",
      path: `${RUN}/rerequest`,
      async handle({ world: { repository }, params, caller }) {
        if (caller.kind === "installation" && caller.permissions.checks !== "write") {
          return refuse(403, "Resource not accessible by integration");
        }
        const repo = repository(`${params.owner}/${params.repo}`);
        const row = gh.checkRuns.get(Number(params.id));
        if (!row || row.repo_id !== repo.id) return refuse(404, "Not Found");
        await world.rerequest(repo, row, { action: "rerequested" });
        return Response.json({}, { status: 201 });
      },
    },
  ];

  /** Completes a check run or suite wherever it appears, in answers and in webhook payloads. */
  function fill(value) {
    const isRun = "external_id" in value && "check_suite" in value;
    const isSuite = "head_branch" in value && "before" in value && "after" in value;
    if (!isRun && !isSuite) return;
    value.app = appJson(world);
    const repo = gh.repos.findOneBy("full_name", /\/repos\/([^/]+\/[^/]+)\/check-/.exec(value.url)?.[1]);
    if (repo) value.pull_requests = pullRequestsOf(gh, baseUrl, repo, value.head_sha);
    if (isSuite) {
      value.latest_check_runs_count ??= gh.checkRuns.findBy("head_sha", value.head_sha).length;
      value.check_runs_url ??= `${value.url}/check-runs`;
      value.head_commit ??= headCommit(gh, value.head_sha);
    }
    const suite = isRun && value.check_suite ? gh.checkSuites.get(value.check_suite.id) : undefined;
    if (suite) {
      const { status, conclusion, before, after, created_at, updated_at } = suite;
      Object.assign(value.check_suite, { status, conclusion, before, after, created_at, updated_at });
    }
  }

  return {
    routes,
    fill,
    extras: (id) => ({ annotations: annotations.get(id) ?? [], images: images.get(id) ?? [] }),
  };
}

/** The only App of the stand-in, in the form that check runs and comments carry it. */
export function appJson({ gh, baseUrl }) {
  const app = gh.apps.all()[0];
  if (!app) return null;
  const owner = gh.orgs.all()[0] ?? gh.users.all()[0];
  return {
    id: app.app_id,
    client_id: `Iv23li${app.app_id}`,
    slug: app.slug,
    node_id: Buffer.from(`0:App${app.app_id}`).toString("base64"),
    owner: {
      login: owner.login,
      id: owner.id,
      node_id: owner.node_id,
      type: gh.orgs.all()[0] ? "Organization" : "User",
    },
    name: app.name,
    description: app.description ?? "",
    external_url: `${baseUrl}/apps/${app.slug}`,
    html_url: `${baseUrl}/apps/${app.slug}`,
    created_at: app.created_at,
    updated_at: app.updated_at,
    permissions: app.permissions,
    events: app.events,
  };
}

function headCommit(gh, sha) {
  const commit = gh.commits.findBy("sha", sha)[0];
  if (!commit) return null;
  const { tree_sha, message, author_name, author_email, committer_name, committer_email, committer_date } = commit;
  return {
    id: sha,
    tree_id: tree_sha,
    message,
    timestamp: committer_date,
    author: { name: author_name, email: author_email },
    committer: { name: committer_name, email: committer_email },
  };
}

/** GitHub lists only open pull requests whose head lies in the same repository: none for forks. */
function pullRequestsOf(gh, baseUrl, repo, sha) {
  const side = (ref, commit) => ({
    ref,
    sha: commit,
    repo: { id: repo.id, url: `${baseUrl}/repos/${repo.full_name}`, name: repo.name },
  });
  return gh.pullRequests
    .findBy("repo_id", repo.id)
    .filter((pull) => pull.state === "open" && pull.head_sha === sha && pull.head_repo_id === repo.id)
    .map((pull) => ({
      url: `${baseUrl}/repos/${repo.full_name}/pulls/${pull.number}`,
      id: pull.id,
      number: pull.number,
      head: side(pull.head_ref, pull.head_sha),
      base: side(pull.base_ref, pull.base_sha),
    }));
}
