// Control calls about pull requests, their comments and their check runs: what people do on github.com.
import { accountOf } from "../adapter/access.mjs";
import { ControlError } from "../adapter/world.mjs";
import { need, shownDeliveries } from "./calls.mjs";

export function pullRequestControls({ world, events, pullRequests, pushes, deliveries }) {
  const { gh } = world;
  const shown = (records, body) => shownDeliveries(deliveries, records, body.wait);

  async function open({ body }) {
    need(body, ["repo", "title", "head", "as"]);
    const { pull, delivery } = await pushes.inTurn(() => pullRequests.open(body));
    const { number, head_sha, base_sha } = pull;
    return { number, head_sha, base_sha, deliveries: await shown([delivery], body) };
  }

  async function change({ body, params }) {
    need(body, ["repo", "as", "action"]);
    return { deliveries: await shown([await pullRequests.change({ ...body, number: params.number })], body) };
  }

  async function merge({ body, params }) {
    need(body, ["repo", "as"]);
    const sent = [];
    const push = async (...args) => sent.push(...(await pushes.move(...args)));
    const sha = await pushes.inTurn(() => pullRequests.merge({ ...body, number: Number(params.number) }, push));
    return { sha, deliveries: await shown(sent, body) };
  }

  async function comment({ body }) {
    need(body, ["repo", "number", "body", "as"]);
    const since = deliveries.list()[0]?.id ?? 0;
    const path = `/repos/${body.repo}/issues/${body.number}/comments`;
    const { id } = await world.api(body.as, "POST", path, { body: body.body });
    return { id, deliveries: await shown(newerThan(since), body) };
  }

  async function editComment({ body, params }) {
    need(body, ["repo", "body", "as"]);
    const since = deliveries.list()[0]?.id ?? 0;
    await world.api(body.as, "PATCH", `/repos/${body.repo}/issues/comments/${params.id}`, { body: body.body });
    return { deliveries: await shown(newerThan(since), body) };
  }

  async function deleteComment({ body, params }) {
    need(body, ["repo", "as"]);
    const since = deliveries.list()[0]?.id ?? 0;
    await world.api(body.as, "DELETE", `/repos/${body.repo}/issues/comments/${params.id}`);
    return { deliveries: await shown(newerThan(since), body) };
  }

  function newerThan(id) {
    return deliveries.list().filter((record) => record.id > id);
  }

  /** "Re-run" or one of the App's own buttons (`identifier`), pressed on a check run. */
  async function press({ body, params }) {
    need(body, ["repo", "as"]);
    const repo = world.repository(body.repo);
    const run = gh.checkRuns.get(Number(params.id));
    if (!run || run.repo_id !== repo.id) throw new ControlError(404, `no check run ${params.id} in ${body.repo}`);
    if (body.identifier && !run.actions?.some((action) => action.identifier === body.identifier)) {
      throw new ControlError(422, `check run ${run.id} shows no button '${body.identifier}'`);
    }
    const action = body.identifier ? "requested_action" : "rerequested";
    const extra = body.identifier ? { requested_action: { identifier: body.identifier } } : {};
    return { deliveries: await shown([await world.rerequest(repo, run, { action, as: body.as, extra })], body) };
  }

  async function rerequestSuite({ body, params }) {
    need(body, ["repo", "as"]);
    const repo = world.repository(body.repo);
    const payload = {
      action: "rerequested",
      check_suite: await world.api(world.adminOf(repo), "GET", `/repos/${body.repo}/check-suites/${params.id}`),
      repository: await world.repositoryJson(repo),
      sender: accountOf(gh.users.findOneBy("login", body.as)),
    };
    return { deliveries: await shown([events.emit({ event: "check_suite", action: "rerequested", payload })], body) };
  }

  return [
    { method: "POST", path: "/_stand-in/pulls", handle: open },
    { method: "POST", path: "/_stand-in/pulls/:number/change", handle: change },
    { method: "POST", path: "/_stand-in/pulls/:number/merge", handle: merge },
    { method: "POST", path: "/_stand-in/comments", handle: comment },
    { method: "PATCH", path: "/_stand-in/comments/:id", handle: editComment },
    { method: "DELETE", path: "/_stand-in/comments/:id", handle: deleteComment },
    { method: "POST", path: "/_stand-in/check-runs/:id/rerequest", handle: press },
    { method: "POST", path: "/_stand-in/check-suites/:id/rerequest", handle: rerequestSuite },
  ];
}

/** Sends `check_run.rerequested` or `.requested_action`. GitHub resets the suite and leaves the run as it is. */
export function makeRerequest(world, events) {
  const { gh } = world;
  return async function rerequest(repo, run, { action, as, extra = {} }) {
    if (action === "rerequested" && run.check_suite_id) {
      gh.checkSuites.update(run.check_suite_id, { status: "queued", conclusion: null });
    }
    const admin = world.adminOf(repo);
    const payload = {
      action,
      check_run: await world.api(admin, "GET", `/repos/${repo.full_name}/check-runs/${run.id}`),
      ...extra,
      repository: await world.repositoryJson(repo),
      sender: accountOf(gh.users.findOneBy("login", as ?? admin)),
    };
    return events.emit({ event: "check_run", action, payload });
  };
}
