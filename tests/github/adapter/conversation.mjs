// Comments and reactions: emulate keeps comments but no reactions, no size limit and no mark of the App that wrote one.
import { accountOf } from "./access.mjs";
import { appJson } from "./checks.mjs";

const COMMENT_LIMIT = 65_536; // GitHub counts characters and answers 422 above it; its OpenAPI description is silent
const CONTENTS = ["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"];
const NOT_ACCESSIBLE = "Resource not accessible by integration";

export function makeConversation(world) {
  const { gh } = world;
  const reactions = [];
  let nextId = 1;

  const subjectKey = (params) => `${params.owner}/${params.repo}/${params.kind}/${params.subject}`;
  const ofSubject = (key) => reactions.filter((reaction) => reaction.key === key);
  const show = ({ key: _key, ...reaction }) => reaction;

  /** The subject as the caller sees it, plus the right to write where asked. */
  async function subject({ params, caller, asCaller }, write) {
    // By an issue's comments, since emulate knows no pull request under `/issues/N`.
    const path = params.kind === "comments" ? `issues/comments/${params.subject}` : `issues/${params.subject}/comments`;
    const seen = await asCaller("GET", `/repos/${params.owner}/${params.repo}/${path}`);
    if (!seen.ok) return seen;
    if (write && caller.kind === "installation") {
      const granted = [caller.permissions.issues, caller.permissions.pull_requests];
      const repo = world.repository(`${params.owner}/${params.repo}`);
      if (!granted.includes("write") || !caller.covers(repo)) {
        return Response.json({ message: NOT_ACCESSIBLE }, { status: 403 });
      }
    }
    if (write && caller.kind === "anonymous") {
      return Response.json({ message: "Requires authentication" }, { status: 401 });
    }
    return undefined;
  }

  function actor(caller) {
    if (caller.kind === "user") return accountOf(gh.users.findOneBy("login", caller.login));
    const app = gh.apps.all()[0];
    const bot = gh.users.findOneBy("login", `${app.slug}[bot]`);
    return bot ? accountOf(bot) : { login: `${app.slug}[bot]`, id: 0, node_id: "", type: "Bot", site_admin: false };
  }

  async function react(context) {
    const refused = await subject(context, true);
    if (refused) return refused;
    const key = subjectKey(context.params);
    const user = actor(context.caller);
    const content = context.json?.content;
    const same = ofSubject(key).find((reaction) => reaction.user.login === user.login && reaction.content === content);
    if (same) return Response.json(show(same), { status: 200 });
    const id = nextId++;
    const reaction = { key, id, node_id: `REA_${id}`, user, content, created_at: new Date().toISOString() };
    reactions.push(reaction);
    return Response.json(show(reaction), { status: 201 });
  }

  async function list(context) {
    const refused = await subject(context, false);
    return refused ?? Response.json(ofSubject(subjectKey(context.params)).map(show));
  }

  async function remove(context) {
    const refused = await subject(context, true);
    if (refused) return refused;
    const index = reactions.findIndex((reaction) => reaction.id === Number(context.params.reaction));
    if (index < 0) return Response.json({ message: "Not Found" }, { status: 404 });
    reactions.splice(index, 1);
    return new Response(null, { status: 204 });
  }

  async function limitedComment(context) {
    const body = context.json?.body;
    if (typeof body === "string" && body.length > COMMENT_LIMIT) {
      context.violation("comment-too-long", `${body.length} characters, GitHub takes ${COMMENT_LIMIT}`);
      const message = `Validation Failed: body is too long (maximum is ${COMMENT_LIMIT} characters)`;
      return Response.json({ message }, { status: 422 });
    }
    return context.emulate();
  }

  /** On GitHub every pull request is an issue too; emulate answers 404. */
  async function issue(context) {
    const known = await context.emulate();
    if (known.status !== 404) return known;
    const { owner, repo, number } = context.params;
    const pull = await context.asCaller("GET", `/repos/${owner}/${repo}/pulls/${number}`);
    if (!pull.ok) return known;
    return Response.json(issueOfPullRequest(await pull.json()));
  }

  // The two kinds of subject share their handlers; `:kind` cannot be a wildcard, since `/issues/:n/comments` exists.
  const both = (method, tail, handle) =>
    ["comments", "issues"].map((kind) => ({
      method,
      path: `/repos/:owner/:repo/issues/${kind === "comments" ? "comments/" : ""}:subject/reactions${tail}`,
      handle: (context) => handle({ ...context, params: { ...context.params, kind } }),
    }));

  const routes = [
    ...both("POST", "", react),
    ...both("GET", "", list),
    ...both("DELETE", "/:reaction", remove),
    { method: "GET", path: "/repos/:owner/:repo/issues/:number", handle: issue },
    { method: "POST", path: "/repos/:owner/:repo/issues/:number/comments", handle: limitedComment },
    { method: "PATCH", path: "/repos/:owner/:repo/issues/comments/:id", handle: limitedComment },
  ];

  function fill(value) {
    if ("performed_via_github_app" in value && value.user?.type === "Bot") {
      value.performed_via_github_app ??= appJson(world);
    }
    const match = /\/repos\/(.+)\/issues\/(?:(comments)\/)?(\d+)\/reactions$/.exec(value.reactions?.url ?? "");
    if (!match) return;
    const counted = ofSubject(`${match[1]}/${match[2] ?? "issues"}/${match[3]}`);
    value.reactions.total_count = counted.length;
    for (const content of CONTENTS) {
      value.reactions[content] = counted.filter((reaction) => reaction.content === content).length;
    }
  }

  return { routes, fill, reactions: () => reactions.map((reaction) => ({ ...show(reaction), subject: reaction.key })) };
}

function issueOfPullRequest(pull) {
  const { id, node_id, number, state, title, body, user, labels, locked, assignee, assignees, milestone } = pull;
  const { created_at, updated_at, closed_at, merged_at, author_association, draft, html_url, comments } = pull;
  const url = pull.issue_url;
  return {
    ...{ id, node_id, number, state, title, body, user, labels, locked, assignee, assignees, milestone },
    ...{ created_at, updated_at, closed_at, author_association, draft, html_url, comments },
    url,
    repository_url: url.replace(/\/issues\/\d+$/, ""),
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    timeline_url: `${url}/timeline`,
    state_reason: null,
    active_lock_reason: null,
    reactions: { url: `${url}/reactions`, total_count: 0 },
    performed_via_github_app: null,
    pull_request: { url: pull.url, html_url, diff_url: pull.diff_url, patch_url: pull.patch_url, merged_at },
  };
}
