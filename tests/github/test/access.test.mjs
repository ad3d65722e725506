import assert from "node:assert/strict";
import { test } from "node:test";
import { withStandIn } from "./harness.mjs";

test("tokens carry the repositories and permissions asked for, and no more", () =>
  withStandIn(async (github) => {
    const { repo, number, head_sha: sha } = await github.pullRequest({ private: true });
    await github.control("POST", "/repositories", { repo: "acme/other", private: true });
    const ask = (body) =>
      github.json(`/app/installations/${github.installationId}/access_tokens`, {
        method: "POST",
        token: github.appJwt(),
        body,
      });

    const reduced = await ask({ repositories: ["imagegen"], permissions: { contents: "read" } });
    assert.deepEqual(reduced.body.permissions, { contents: "read" });
    assert.deepEqual(
      reduced.body.repositories.map((row) => row.full_name),
      [repo],
    );
    const { token } = reduced.body;
    const status = async (path, options) => (await github.json(path, { token, ...options })).status;
    assert.equal(await status(`/repos/${repo}/contents/suite.py`), 200);
    assert.equal(await status("/repos/acme/other/contents/README.md"), 403);
    const run = { method: "POST", body: { name: "difftest", head_sha: sha } };
    assert.equal(await status(`/repos/${repo}/check-runs`, run), 403);
    const comment = { method: "POST", body: { body: "hello" } };
    assert.equal(await status(`/repos/${repo}/issues/${number}/comments`, comment), 403);

    assert.equal((await ask({ permissions: { administration: "write" } })).status, 422);
    assert.equal((await ask({ repositories: ["nowhere"] })).status, 422);
    const listed = await github.json("/installation/repositories", { token: await github.token() });
    assert.deepEqual(listed.body.repositories.map((row) => row.full_name).sort(), [repo, "acme/other"]);
  }));

test("unknown and expired credentials are refused before anything else", () =>
  withStandIn(async (github) => {
    const { repo } = await github.pullRequest();
    const status = async (path, token) => (await github.json(path, { token })).status;
    assert.equal(await status(`/repos/${repo}`, "ghs_unknown"), 401);
    const token = await github.token();
    assert.equal(await status(`/repos/${repo}`, token), 200);
    await github.control("POST", "/tokens/expire");
    assert.equal(await status(`/repos/${repo}`, token), 401);

    const now = Math.floor(Date.now() / 1000);
    assert.equal(await status("/app", github.appJwt()), 200);
    for (const claims of [{ exp: now - 100 }, { exp: now + 3600 }, { iat: now + 600 }, { iss: "1" }]) {
      assert.equal(await status("/app", github.appJwt(claims)), 401, JSON.stringify(claims));
    }
    assert.equal(await status("/app", `${github.appJwt().slice(0, -8)}AAAAAAAA`), 401);
    assert.equal(await status(`/repos/${repo}`, github.appJwt()), 401);
  }));

test("roles are worded as GitHub words them", () =>
  withStandIn(async (github) => {
    const { repo } = await github.pullRequest();
    await github.control("POST", "/collaborators", { repo, login: "contributor", role: "maintain" });
    const token = await github.token();
    const role = async (login) => {
      const { body } = await github.json(`/repos/${repo}/collaborators/${login}/permission`, { token });
      return [body.permission, body.role_name];
    };
    assert.deepEqual(await role("maintainer"), ["admin", "admin"]);
    assert.deepEqual(await role("writer"), ["write", "write"]);
    assert.deepEqual(await role("contributor"), ["write", "maintain"]);
    assert.deepEqual(await role("stranger"), ["read", "read"]);
    assert.deepEqual(await github.control("GET", "/violations"), []);
  }));

test("the same answers come under a GitHub Enterprise Server's prefix", () =>
  withStandIn(async (github) => {
    const { repo } = await github.pullRequest();
    const token = await github.token();
    const { body } = await github.json(`/api/v3/repos/${repo}`, { token });
    assert.equal(body.full_name, repo);
    assert.deepEqual(await github.control("GET", "/violations"), []);
  }));

test("comments name their App, reactions are kept once per person", () =>
  withStandIn(async (github) => {
    const { repo, number } = await github.pullRequest();
    const token = await github.token();
    const comments = `/repos/${repo}/issues/${number}/comments`;
    const created = await github.json(comments, { method: "POST", token, body: { body: "<!-- difftest -->" } });
    assert.equal(created.status, 201);
    assert.equal(created.body.user.login, "difftest[bot]");
    assert.equal(created.body.performed_via_github_app.slug, "difftest");
    // octocrab edits with POST, which GitHub takes for PATCH
    const edited = await github.json(`/repos/${repo}/issues/comments/${created.body.id}`, {
      method: "POST",
      token,
      body: { body: "new" },
    });
    assert.equal(edited.body.body, "new");

    const { id } = await github.control("POST", "/comments", { repo, number, as: "writer", body: "/difftest run" });
    const path = `/repos/${repo}/issues/comments/${id}/reactions`;
    const react = () => github.json(path, { method: "POST", token, body: { content: "eyes" } });
    assert.equal((await react()).status, 201);
    assert.equal((await react()).status, 200);
    const shown = await github.json(`/repos/${repo}/issues/comments/${id}`, { token });
    assert.equal(shown.body.reactions.eyes, 1);
    const checks = await github.token({ permissions: { checks: "write" } });
    assert.equal((await github.json(path, { method: "POST", token: checks, body: { content: "eyes" } })).status, 403);
    const long = await github.json(comments, { method: "POST", token, body: { body: "x".repeat(65_537) } });
    assert.equal(long.status, 422);
    const [violation] = await github.control("GET", "/violations");
    assert.equal(violation.rule, "comment-too-long");
    const pull = `/repos/${repo}/issues/${number}`;
    assert.equal(
      (await github.json(`${pull}/reactions`, { method: "POST", token, body: { content: "rocket" } })).status,
      201,
    );
    const issue = (await github.json(pull, { token })).body;
    assert.match(issue.pull_request.url, /pulls\/1$/);
    assert.equal(issue.reactions.rocket, 1);
    await github.control("DELETE", `/comments/${id}`, { repo, as: "writer" });
    assert.equal(github.events("issue_comment").at(-1).action, "deleted");
  }));
