import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { withStandIn } from "./harness.mjs";

test("a pull request is opened, pushed to and commented on, and the App hears of each", () =>
  withStandIn(async (github) => {
    const { repo, number, head_sha: first } = await github.pullRequest();
    const opened = github.events("pull_request")[0];
    assert.equal(opened.action, "opened");
    assert.equal(opened.number, number);
    assert.equal(opened.pull_request.head.sha, first);
    assert.equal(opened.pull_request.changed_files, 1);
    assert.deepEqual(opened.installation.id, github.installationId);
    assert.equal(opened.organization.login, "acme");

    const files = { "suite.py": "a = 3\n", "prompts/new.txt": "a red circle\n" };
    const pushed = await github.control("POST", "/push", { repo, as: "writer", branch: "better", files });
    assert.equal(pushed.before, first);
    assert.deepEqual(
      pushed.deliveries.map(({ event, action, status_code: status }) => [event, action, status]),
      [
        ["push", null, 202],
        ["check_suite", "requested", 202],
        ["pull_request", "synchronize", 202],
      ],
    );
    const synchronize = github.events("pull_request").at(-1);
    assert.equal(synchronize.before, first);
    assert.equal(synchronize.after, pushed.sha);
    assert.equal(synchronize.pull_request.head.sha, pushed.sha);
    const push = github.events("push").at(-1);
    assert.deepEqual(push.head_commit.added, ["prompts/new.txt"]);
    assert.deepEqual(push.head_commit.modified, ["suite.py"]);

    const body = "/difftest run";
    await github.control("POST", "/comments", { repo, number, as: "maintainer", body });
    const comment = github.events("issue_comment").at(-1);
    assert.equal(comment.action, "created");
    assert.equal(comment.comment.body, body);
    assert.match(comment.issue.pull_request.url, /\/pulls\/1$/);
  }));

test("deliveries are signed over the raw bytes and each has its own id", () =>
  withStandIn(async (github) => {
    await github.pullRequest();
    const ids = new Set();
    for (const { headers, body } of github.receiver.received) {
      const mac = createHmac("sha256", github.receiver.secret).update(body).digest("hex");
      assert.equal(headers["x-hub-signature-256"], `sha256=${mac}`);
      assert.match(headers["user-agent"], /^GitHub-Hookshot\//);
      ids.add(headers["x-github-delivery"]);
    }
    assert.equal(ids.size, github.receiver.received.length);
  }));

test("the files of a pull request are the real diff", () =>
  withStandIn(async (github) => {
    const { repo, number } = await github.pullRequest();
    const token = await github.token();
    const { body } = await github.json(`/repos/${repo}/pulls/${number}/files`, { token });
    assert.equal(body.length, 1);
    assert.equal(body[0].filename, "suite.py");
    assert.equal(body[0].status, "modified");
    assert.match(body[0].patch, /-a = 1\n\+a = 2/);
    assert.deepEqual(await github.control("GET", "/violations"), []);
  }));

test("a fork's head can be read through the base repository", () =>
  withStandIn(async (github) => {
    const repo = "acme/imagegen";
    await github.control("POST", "/repositories", { repo, files: { "suite.py": "a = 1\n" } });
    await github.control("POST", "/forks", { repo, as: "contributor" });
    const files = { "suite.py": "a = 9\n" };
    const pushed = await github.control("POST", "/push", {
      repo: "contributor/imagegen",
      as: "contributor",
      branch: "mine",
      files,
    });
    assert.deepEqual(pushed.deliveries, [], "the App is not installed on the fork");
    const pull = { repo, as: "contributor", title: "From a fork", head: "contributor:mine" };
    const { head_sha: sha } = await github.control("POST", "/pulls", pull);
    const opened = github.events("pull_request")[0].pull_request;
    assert.equal(opened.head.repo.fork, true);
    assert.equal(opened.head.repo.full_name, "contributor/imagegen");
    const token = await github.token({ repositories: ["imagegen"], permissions: { contents: "read" } });
    const commit = await github.json(`/repos/${repo}/commits/${sha}`, { token });
    assert.equal(commit.status, 200);
    await github.control("POST", "/push", {
      repo: "contributor/imagegen",
      as: "contributor",
      branch: "mine",
      files: { b: "1" },
    });
    assert.equal(github.events("pull_request").at(-1).action, "synchronize");
  }));

test("a merge closes the pull request and moves the base branch", () =>
  withStandIn(async (github) => {
    const { repo, number } = await github.pullRequest();
    const { sha } = await github.control("POST", `/pulls/${number}/merge`, { repo, as: "maintainer" });
    const closed = github.events("pull_request").at(-1);
    assert.equal(closed.action, "closed");
    assert.equal(closed.pull_request.merged, true);
    assert.equal(closed.pull_request.merge_commit_sha, sha);
    const push = github.events("push").at(-1);
    assert.deepEqual([push.ref, push.after], ["refs/heads/main", sha]);
    assert.deepEqual(await github.control("GET", "/differences"), []);
  }));
