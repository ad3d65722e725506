import assert from "node:assert/strict";
import { test } from "node:test";
import { withStandIn } from "./harness.mjs";

async function withCheckRuns(work) {
  await withStandIn(async (github) => {
    const pull = await github.pullRequest();
    const token = await github.token();
    const path = `/repos/${pull.repo}/check-runs`;
    const create = (body) =>
      github.json(path, { method: "POST", token, body: { name: "difftest", head_sha: pull.head_sha, ...body } });
    const update = (id, body) => github.json(`${path}/${id}`, { method: "PATCH", token, body });
    const complaints = async () => (await github.control("GET", "/violations")).map(({ detail }) => detail);
    await work({ github, pull, token, path, create, update, complaints });
  });
}

const annotation = (line, more = {}) => ({
  ...{ path: "suite.py", start_line: line, end_line: line, annotation_level: "warning", message: `line ${line}` },
  ...more,
});
const output = (more) => ({ title: "Regressed", summary: "one test", ...more });

test("a check run carries its App, its pull request and all annotations ever sent", () =>
  withCheckRuns(async ({ github, pull, token, path, create, update, complaints }) => {
    const started = await create({
      status: "in_progress",
      external_id: "job-1",
      output: output({ annotations: [annotation(1, { title: "T" })] }),
    });
    assert.equal(started.status, 201);
    const { id } = started.body;
    assert.equal(started.body.app.slug, "difftest");
    assert.equal(started.body.pull_requests[0].number, pull.number);
    assert.match(started.body.output.annotations_url, /annotations$/);
    const actions = [{ label: "Accept", description: "Take as baseline", identifier: "accept" }];
    const done = {
      status: "completed",
      conclusion: "failure",
      actions,
      output: output({ annotations: [annotation(2)] }),
    };
    const completed = await update(id, done);
    assert.equal(completed.body.output.annotations_count, 2);
    const kept = await github.json(`${path}/${id}/annotations`, { token });
    assert.deepEqual(
      kept.body.map(({ start_line: line, title }) => [line, title]),
      [
        [1, "T"],
        [2, null],
      ],
    );
    const { check_runs: runs } = await github.control("GET", `/state?repo=${pull.repo}`);
    assert.equal(runs[0].conclusion, "failure");
    assert.equal(runs[0].output.annotations.length, 2);
    assert.deepEqual(await complaints(), []);
  }));

test("GitHub's OpenAPI description catches what the App must not send", () =>
  withCheckRuns(async ({ github, create, complaints }) => {
    const clean = async (what, pattern, body) => {
      await create(body);
      const found = (await complaints()).join("\n");
      assert.match(found, pattern, what);
      await github.control("DELETE", "/requests");
    };
    const action = (n) => ({ label: `L${n}`, description: "d", identifier: `i${n}` });
    await clean("four actions", /actions must NOT have more than 3 items/, { actions: [1, 2, 3, 4].map(action) });
    await clean("a long label", /label must NOT have more than 20/, {
      actions: [{ ...action(1), label: "x".repeat(21) }],
    });
    const many = Array.from({ length: 51 }, (_, index) => annotation(index + 1));
    await clean("51 annotations", /annotations must NOT have more than 50 items/, {
      output: output({ annotations: many }),
    });
    await clean("a huge summary", /summary must NOT have more than 65535/, {
      output: output({ summary: "x".repeat(70_000) }),
    });
    await clean("no title", /output must have required property 'title'/, { output: { summary: "s" } });
    await clean("no conclusion", /completed without a conclusion/, { status: "completed" });
    await clean("too early a conclusion", /a conclusion with status 'in_progress'/, {
      status: "in_progress",
      conclusion: "success",
    });
    await clean("a misspelt member", /unknown member '\/externalId'/, { externalId: "1" });
    assert.deepEqual(await complaints(), []);
  }));

test("unknown paths, methods and queries of the App are violations; a person's are not", () =>
  withCheckRuns(async ({ github, pull, token, complaints }) => {
    await github.fetch(`/repos/${pull.repo}/chekruns`, { token });
    await github.fetch(`/repos/${pull.repo}/pulls/1`, { token, method: "DELETE" });
    await github.fetch(`/repos/${pull.repo}/pulls?state=opened&size=3`, { token });
    await github.fetch("/app/hook/deliveries", { token });
    const found = (await complaints()).join("\n");
    for (const pattern of [
      /chekruns is not in/,
      /DELETE is not offered/,
      /state must be equal/,
      /'size'/,
      /takes an App JWT/,
    ]) {
      assert.match(found, pattern);
    }
    await github.control("DELETE", "/requests");
    const user = (await github.control("POST", "/tokens/user", { login: "writer" })).token;
    await github.fetch(`/repos/${pull.repo}/chekruns`, { token: user });
    assert.deepEqual(await complaints(), []);
  }));

test("a completed run is not reopened, an unknown commit is refused", () =>
  withCheckRuns(async ({ create, update, complaints }) => {
    const { body: run } = await create({ status: "completed", conclusion: "success" });
    const reopened = await update(run.id, { status: "in_progress" });
    assert.equal(reopened.body.status, "completed");
    assert.match((await complaints()).join(), /create a new one/);
    const unknown = await create({ head_sha: "0".repeat(40) });
    assert.equal(unknown.status, 422);
    assert.match(unknown.body.message, /No commit found for SHA/);
  }));

test("re-run and the App's buttons reach the App with the whole check run", () =>
  withCheckRuns(async ({ github, pull, create }) => {
    const actions = [{ label: "Accept", description: "Take as baseline", identifier: "accept" }];
    const { body: run } = await create({ status: "completed", conclusion: "failure", external_id: "job-7", actions });
    await github.control("POST", `/check-runs/${run.id}/rerequest`, { repo: pull.repo, as: "maintainer" });
    const rerequested = github.events("check_run").at(-1);
    assert.equal(rerequested.action, "rerequested");
    assert.equal(rerequested.check_run.external_id, "job-7");
    assert.equal(rerequested.check_run.app.slug, "difftest");
    const button = { repo: pull.repo, as: "maintainer", identifier: "accept" };
    await github.control("POST", `/check-runs/${run.id}/rerequest`, button);
    assert.deepEqual(github.events("check_run").at(-1).requested_action, { identifier: "accept" });
  }));
