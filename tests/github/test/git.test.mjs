import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { withStandIn } from "./harness.mjs";

const run = promisify(execFile);
const ENV = { PATH: process.env.PATH, HOME: "/nonexistent", GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0" };
const git = async (args) => (await run("git", args, { env: ENV })).stdout.trim();

const withToken = (url, token) => url.replace("//", `//x-access-token:${token}@`);

/** What a runner does: one commit, no history, no blobs it does not need. */
async function fetchCommit(folder, url, sha, token) {
  await git(["init", "--quiet", folder]);
  const header = token ? ["-c", `http.extraHeader=Authorization: Bearer ${token}`] : [];
  await git(["-C", folder, ...header, "fetch", "--quiet", "--depth=1", "--filter=blob:none", url, sha]);
  return git(["-C", folder, "rev-parse", "FETCH_HEAD"]);
}

test("one commit can be fetched by SHA with a token that reads contents, and not without", () =>
  withStandIn(async (github) => {
    const { repo, head_sha: sha } = await github.pullRequest({ private: true });
    const clone = `${github.url}/${repo}.git`;
    const reader = await github.token({ repositories: ["imagegen"], permissions: { contents: "read" } });
    const into = (name) => join(github.folder, name);

    assert.equal(await fetchCommit(into("bearer"), clone, sha, reader), sha);
    assert.equal(await fetchCommit(into("basic"), withToken(clone, reader), sha), sha);
    await assert.rejects(fetchCommit(into("none"), clone, sha), /could not read Username|401/);
    await assert.rejects(fetchCommit(into("wrong"), clone, sha, "ghs_wrong"), /401|Authentication|could not read/);

    const checks = await github.token({ permissions: { checks: "write" } });
    await assert.rejects(fetchCommit(into("checks"), clone, sha, checks), /403/);

    await github.control("POST", "/repositories", { repo: "acme/other", private: true });
    const other = await github.token({ repositories: ["other"], permissions: { contents: "read" } });
    await assert.rejects(fetchCommit(into("other"), clone, sha, other), /403/);
    await github.control("POST", "/tokens/expire");
    await assert.rejects(fetchCommit(into("expired"), clone, sha, reader), /401|Authentication|could not read/);
  }));

test("a superseded commit and a pull request's ref can still be fetched", () =>
  withStandIn(async (github) => {
    const { repo, number, head_sha: first } = await github.pullRequest();
    const change = {
      repo,
      as: "writer",
      branch: "better",
      parent: "main",
      force: true,
      files: { "suite.py": "a = 4\n" },
    };
    const { sha } = await github.control("POST", "/push", change);
    assert.equal(github.events("push").at(-1).forced, true);
    const url = withToken(`${github.url}/${repo}.git`, await github.token());
    assert.equal(await fetchCommit(join(github.folder, "old"), url, first), first);
    assert.match(await git(["ls-remote", url, `refs/pull/${number}/head`]), new RegExp(`^${sha}`));
  }));

test("what is pushed has the same SHAs through the API as in git, binary files and modes included", () =>
  withStandIn(async (github) => {
    const repo = "acme/imagegen";
    writeFileSync(join(github.folder, "blob.bin"), Buffer.from([0, 255, 10, 13, 0]));
    const files = {
      "run.sh": { text: "#!/bin/sh\n", executable: true },
      "deep/er/naïve name.txt": "ü\n",
      "blob.bin": { copy: join(github.folder, "blob.bin") },
      "blob2.bin": { base64: "AAECAw==" },
    };
    const created = await github.control("POST", "/repositories", { repo, files, message: "Two\n\nparagraphs" });
    const token = await github.token();
    const read = async (path) => (await github.json(`/repos/${repo}${path}`, { token })).body;
    const commit = await read(`/git/commits/${created.sha}`);
    assert.equal(commit.sha, created.sha);
    const url = withToken(`${github.url}/${repo}.git`, token);
    const folder = join(github.folder, "clone");
    await git(["clone", "--quiet", url, folder]);
    assert.equal(await git(["-C", folder, "rev-parse", "HEAD^{tree}"]), commit.tree.sha);
    const listed = (await read(`/git/trees/${commit.tree.sha}?recursive=1`)).tree;
    const real = (await git(["-C", folder, "ls-tree", "-r", "-t", "-z", "HEAD"])).split("\0").filter(Boolean);
    const byPath = (left, right) => (left.path < right.path ? -1 : 1);
    assert.deepEqual(
      listed.map(({ mode, type, sha, path }) => ({ mode, type, sha, path })).sort(byPath),
      real
        .map((line) => /^(\d+) (\w+) (\w+)\t(.*)$/s.exec(line))
        .map(([, mode, type, sha, path]) => ({ mode, type, sha, path }))
        .sort(byPath),
    );
    const content = await read("/contents/blob.bin");
    assert.deepEqual(Buffer.from(content.content, "base64"), Buffer.from([0, 255, 10, 13, 0]));
  }));

test("what the App writes through the API can be fetched by git", () =>
  withStandIn(async (github) => {
    const { repo } = await github.pullRequest();
    const token = await github.token();
    const write = (method, path, body) => github.json(`/repos/${repo}${path}`, { method, token, body });
    const tip = (await write("GET", "/git/ref/heads/main")).body.object.sha;
    const base = (await write("GET", `/git/commits/${tip}`)).body.tree.sha;
    const entry = { path: "baselines/a.png", mode: "100644", type: "blob", content: "not really a picture" };
    const tree = (await write("POST", "/git/trees", { base_tree: base, tree: [entry] })).body.sha;
    const commit = (await write("POST", "/git/commits", { message: "Baselines", tree, parents: [tip] })).body.sha;
    assert.equal((await write("POST", "/git/refs", { ref: "refs/heads/baselines", sha: commit })).status, 201);
    const folder = join(github.folder, "clone");
    await git(["clone", "--quiet", "--branch=baselines", withToken(`${github.url}/${repo}.git`, token), folder]);
    assert.equal(await git(["-C", folder, "rev-parse", "HEAD"]), commit);
    assert.equal(await git(["-C", folder, "fsck", "--strict"]), "");
    assert.deepEqual(await github.control("GET", "/differences"), []);
    assert.equal((await write("DELETE", "/git/refs/heads/baselines")).status, 204);
    assert.deepEqual(await github.control("GET", "/differences"), []);
    assert.deepEqual(await github.control("GET", "/violations"), []);
  }));

test("a person's real git push is heard as push and synchronize", () =>
  withStandIn(async (github) => {
    const { repo } = await github.pullRequest();
    const { token } = await github.control("POST", "/tokens/user", { login: "writer" });
    const url = withToken(`${github.url}/${repo}.git`, token);
    const folder = join(github.folder, "clone");
    await git(["clone", "--quiet", "--branch=better", url, folder]);
    const author = ["-c", "user.name=Wim", "-c", "user.email=writer@example.com"];
    await git(["-C", folder, ...author, "commit", "--quiet", "--allow-empty", "-m", "Again"]);
    await git(["-C", folder, "push", "--quiet", "origin", "better"]);
    const sha = await git(["-C", folder, "rev-parse", "HEAD"]);
    const deliveries = await github.control("GET", "/deliveries");
    assert.ok(deliveries.some(({ event, action }) => event === "pull_request" && action === "synchronize"));
    await github.control("POST", "/webhooks", { mode: "deliver" });
    assert.equal(github.events("pull_request").at(-1).after, sha);
    assert.deepEqual(await github.control("GET", "/differences"), []);

    const stranger = (await github.control("POST", "/tokens/user", { login: "stranger" })).token;
    const refused = git(["-C", folder, "push", "--quiet", withToken(`${github.url}/${repo}.git`, stranger), "better"]);
    await assert.rejects(refused, /403/);
  }));

test("a repository and a change can come from a local folder", () =>
  withStandIn(async (github) => {
    const folder = join(github.folder, "local");
    mkdirSync(join(folder, "suite"), { recursive: true });
    writeFileSync(join(folder, "suite", "a.py"), "a = 1\n");
    writeFileSync(join(folder, ".gitignore"), "*.png\n");
    writeFileSync(join(folder, "big.png"), "ignored");
    const repo = "acme/imagegen";
    await github.control("POST", "/repositories", { repo, folder });
    writeFileSync(join(folder, "suite", "a.py"), "a = 2\n");
    const { sha } = await github.control("POST", "/push", {
      repo,
      as: "maintainer",
      folder,
      message: "From the folder",
    });
    const { body } = await github.json(`/repos/${repo}/commits/${sha}`, { token: await github.token() });
    assert.deepEqual(
      body.files.map(({ filename }) => filename),
      ["suite/a.py"],
    );
    const { body: root } = await github.json(`/repos/${repo}/contents`, { token: await github.token() });
    assert.deepEqual(
      root.map(({ name }) => name),
      [".gitignore", "suite"],
    );
  }));
