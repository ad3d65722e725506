import assert from "node:assert/strict";
import { test } from "node:test";
import { withStandIn } from "./harness.mjs";

test("the next matching requests fail as asked, then the weather clears", () =>
  withStandIn(async (github) => {
    const { repo } = await github.pullRequest();
    const token = await github.token();
    const read = () => github.json(`/repos/${repo}/pulls`, { token });
    await github.control("POST", "/faults", { method: "GET", path: "/pulls$", status: 502, times: 2 });
    assert.deepEqual([(await read()).status, (await read()).status, (await read()).status], [502, 502, 200]);

    await github.control("POST", "/faults", { kind: "secondary-rate-limit", retry_after: 7 });
    const limited = await read();
    assert.equal(limited.status, 403);
    assert.equal(limited.headers.get("retry-after"), "7");
    assert.match(limited.body.message, /secondary rate limit/);

    await github.control("POST", "/faults", { status: 429, retry_after: 1 });
    assert.equal((await read()).status, 429);
    await github.control("POST", "/faults", { kind: "primary-rate-limit", retry_after: 5 });
    assert.equal((await read()).headers.get("x-ratelimit-remaining"), "0");

    await github.control("POST", "/faults", { delay_ms: 120 });
    const started = performance.now();
    assert.equal((await read()).status, 200);
    assert.ok(performance.now() - started >= 119);
    assert.deepEqual(await github.control("GET", "/faults"), []);
    await assert.rejects(github.control("POST", "/faults", { stauts: 500 }), /unknown fault member 'stauts'/);
  }));

test("a dropped connection leaves a write applied, or not, as asked", () =>
  withStandIn(async (github) => {
    const { repo, number } = await github.pullRequest();
    const token = await github.token();
    const post = (body) =>
      github.fetch(`/repos/${repo}/issues/${number}/comments`, { method: "POST", token, body: { body } });
    await github.control("POST", "/faults", { method: "POST", path: "/comments$", drop: "after" });
    await assert.rejects(post("applied"));
    await github.control("POST", "/faults", { method: "POST", path: "/comments$", drop: "before" });
    await assert.rejects(post("never"));
    const { comments } = await github.control("GET", "/state");
    assert.deepEqual(
      comments.map(({ body }) => body),
      ["applied"],
    );
    const [first] = await github.control("GET", "/requests?method=POST&path=/comments$");
    assert.equal(first.caller.kind, "installation");
    assert.equal(JSON.stringify(first).includes(token), false, "the log keeps no token");
  }));

test("webhooks can be held, reversed, lost and sent again", () =>
  withStandIn(async (github) => {
    const { repo, number } = await github.pullRequest();
    const comment = (body) => github.control("POST", "/comments", { repo, number, as: "writer", body });
    const bodies = () => github.events("issue_comment").map((event) => event.comment.body);
    await github.control("POST", "/webhooks", { mode: "hold" });
    const [held] = (await comment("one")).deliveries;
    assert.equal(held.status, "held");
    await comment("two");
    assert.deepEqual(bodies(), []);
    await github.control("POST", "/webhooks", { mode: "deliver", reversed: true });
    assert.deepEqual(bodies(), ["two", "one"]);

    await github.control("POST", "/webhooks", { mode: "lose" });
    const [lost] = (await comment("three")).deliveries;
    await github.control("POST", "/webhooks", { mode: "deliver" });
    assert.deepEqual(bodies(), ["two", "one"]);
    await github.control("POST", `/deliveries/${lost.id}/redeliver`);
    const again = await github.control("POST", `/deliveries/${lost.id}/redeliver`, { new_guid: true });
    assert.deepEqual(bodies().slice(2), ["three", "three"]);
    const guids = github.events("issue_comment").map(({ headers }) => headers["x-github-delivery"]);
    assert.equal(guids[2], lost.guid);
    assert.equal(guids[3], again.deliveries[0].guid);
    assert.notEqual(guids[3], lost.guid);
  }));

test("the App can list its deliveries and ask for one again", () =>
  withStandIn(async (github) => {
    await github.pullRequest();
    const token = github.appJwt();
    const first = await github.json("/app/hook/deliveries?per_page=2", { token });
    assert.equal(first.body.length, 2);
    assert.match(first.headers.get("link"), /rel="next"/);
    const next = /<([^>]+)>/.exec(first.headers.get("link"))[1].replace(github.url, "");
    const second = await github.json(next, { token });
    assert.ok(second.body[0].id < first.body[1].id);
    const { id, guid } = first.body[0];
    const detail = await github.json(`/app/hook/deliveries/${id}`, { token });
    assert.equal(detail.body.request.headers["X-GitHub-Delivery"], guid);
    assert.equal((await github.json(`/app/hook/deliveries/${id}/attempts`, { method: "POST", token })).status, 202);
    await github.control("POST", "/webhooks", { mode: "deliver" });
    const guids = github.receiver.received.map(({ headers }) => headers["x-github-delivery"]);
    assert.equal(guids.filter((candidate) => candidate === guid).length, 2);
    assert.deepEqual(await github.control("GET", "/violations"), []);
  }));

test("any event can be sent by hand, and an installation announced", () =>
  withStandIn(async (github) => {
    const { repo } = await github.pullRequest();
    const payload = { action: "submitted", review: { state: "approved" } };
    await github.control("POST", "/events", { event: "pull_request_review", repo, as: "maintainer", payload });
    const review = github.events("pull_request_review")[0];
    assert.equal(review.sender.login, "maintainer");
    assert.equal(review.installation.id, github.installationId);
    await github.control("POST", "/installations/announce", { as: "maintainer" });
    const created = github.events("installation")[0];
    assert.equal(created.action, "created");
    assert.equal(created.repositories[0].full_name, repo);
    assert.equal(created.installation.account.login, "acme");
  }));

test("a suspended installation gets neither tokens nor events until it is resumed", () =>
  withStandIn(async (github) => {
    const { repo, number } = await github.pullRequest();
    const token = await github.token();
    await github.control("POST", "/installations/announce", { action: "suspend", as: "maintainer" });
    assert.equal((await github.json(`/repos/${repo}`, { token })).status, 403);
    await assert.rejects(github.token(), /suspended/);
    const comment = { repo, number, as: "writer", body: "hello" };
    assert.deepEqual((await github.control("POST", "/comments", comment)).deliveries, []);
    await github.control("POST", "/installations/announce", { action: "unsuspend", as: "maintainer" });
    assert.equal((await github.json(`/repos/${repo}`, { token })).status, 200);
    assert.deepEqual(
      github.events("installation").map(({ action }) => action),
      ["suspend", "unsuspend"],
    );
  }));

test("two pushes at the same moment follow one another", () =>
  withStandIn(async (github) => {
    const { repo } = await github.pullRequest();
    const push = (name) =>
      github.control("POST", "/push", { repo, as: "writer", branch: "better", files: { [name]: name } });
    const [first, second] = await Promise.all([push("a"), push("b")]);
    assert.ok(first.sha === second.before || second.sha === first.before);
    await github.control("DELETE", "/branches", { repo, branch: "better", as: "writer" });
    assert.equal(github.events("push").at(-1).deleted, true);
    assert.deepEqual(await github.control("GET", "/differences"), []);
  }));
