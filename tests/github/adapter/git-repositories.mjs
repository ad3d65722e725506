// Bare repositories on disk, one per `owner/name`: the git that clones are served from, and where control calls make
// their commits. Real git makes every object, so the SHAs are real.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ControlError } from "./world.mjs";

const SAFE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Neither the machine's nor the user's git configuration may change what the stand-in serves. */
export const GIT_ENV = {
  PATH: process.env.PATH,
  HOME: "/nonexistent",
  LC_ALL: "C",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_TERMINAL_PROMPT: "0",
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "safe.directory",
  GIT_CONFIG_VALUE_0: "*",
};

// GitHub answers a fetch of any commit by SHA and filtered ("partial") clones; git's default refuses both.
const SERVED = {
  "uploadpack.allowAnySHA1InWant": "true",
  "uploadpack.allowReachableSHA1InWant": "true",
  "uploadpack.allowFilter": "true",
  "http.receivepack": "true",
  "gc.auto": "0",
};

export class GitRepositories {
  constructor(root) {
    this.root = resolve(root);
    mkdirSync(this.root, { recursive: true });
  }

  path(fullName) {
    const parts = String(fullName).split("/");
    if (parts.length !== 2 || !parts.every((part) => SAFE_NAME.test(part))) {
      throw new ControlError(422, `'${fullName}' is not an owner/name`);
    }
    return join(this.root, parts[0], `${parts[1]}.git`);
  }

  exists(fullName) {
    return existsSync(join(this.path(fullName), "HEAD"));
  }

  async init(fullName, defaultBranch) {
    const path = this.path(fullName);
    mkdirSync(path, { recursive: true });
    await runGit(["init", "--quiet", "--bare", `--initial-branch=${defaultBranch}`, path]);
    for (const [key, value] of Object.entries(SERVED)) await this.run(fullName, ["config", key, value]);
  }

  /** Runs git inside the bare repository; @returns stdout as a Buffer */
  run(fullName, args, options = {}) {
    return runGit(["--git-dir", this.path(fullName), ...args], options);
  }

  async text(fullName, args, options) {
    return (await this.run(fullName, args, options)).toString("utf8").trim();
  }

  /** The commit a branch, tag or SHA names, or null. */
  async resolve(fullName, name) {
    try {
      return await this.text(fullName, ["rev-parse", "--verify", "--quiet", `${name}^{commit}`]);
    } catch {
      return null;
    }
  }

  async refs(fullName) {
    const text = await this.text(fullName, ["for-each-ref", "--format=%(refname) %(objectname)"]);
    return new Map(text ? text.split("\n").map((line) => line.split(" ")) : []);
  }

  /**
   * Makes one commit and moves no ref.
   * @param {object} change `{parents, files?, folder?, message, author: {name, email}, date?}`; in `files` a value is a
   *   text, `{base64}`, `{copy: local path}`, each with an optional `executable`, or null to delete
   */
  async commit(fullName, change) {
    const scratch = mkdtempSync(join(tmpdir(), "stand-in-index-"));
    try {
      const env = { GIT_INDEX_FILE: join(scratch, "index"), ...identity(change) };
      if (change.parents.length) await this.run(fullName, ["read-tree", change.parents[0]], { env });
      if (change.folder) {
        await this.run(fullName, ["--work-tree", resolve(change.folder), "add", "--all", "."], {
          env,
          cwd: resolve(change.folder),
        });
      }
      await this.#stageFiles(fullName, change.files ?? {}, env);
      const tree = await this.text(fullName, ["write-tree"], { env });
      return await this.commitTree(fullName, { ...change, tree });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  commitTree(fullName, change) {
    const parents = change.parents.flatMap((sha) => ["-p", sha]);
    return this.text(fullName, ["commit-tree", change.tree, ...parents, "-F", "-"], {
      env: identity(change),
      input: `${change.message.trimEnd()}\n`,
    });
  }

  async #stageFiles(fullName, files, env) {
    const lines = [];
    for (const [path, value] of Object.entries(files)) {
      if (value === null) {
        lines.push(`0 ${"0".repeat(40)}\t${path}`);
        continue;
      }
      const sha = await this.text(fullName, ["hash-object", "-w", "--stdin"], { input: await contentOf(value) });
      lines.push(`${value.executable ? "100755" : "100644"} ${sha}\t${path}`);
    }
    if (lines.length) {
      await this.run(fullName, ["update-index", "--index-info"], { env, input: `${lines.join("\n")}\n` });
    }
  }

  async setRef(fullName, ref, sha) {
    if (sha) await this.run(fullName, ["update-ref", ref, sha]);
    else await this.run(fullName, ["update-ref", "-d", ref]);
  }

  /** Brings all objects behind `ref` of one repository into another, as a fork's pull request does on GitHub. */
  fetchInto(target, source, ref, targetRef) {
    return this.run(target, ["fetch", "--quiet", "--no-tags", this.path(source), `+${ref}:${targetRef}`]);
  }
}

async function contentOf(value) {
  if (typeof value === "string") return Buffer.from(value, "utf8");
  if (typeof value.base64 === "string") return Buffer.from(value.base64, "base64");
  if (typeof value.copy === "string") return readFile(value.copy);
  if (typeof value.text === "string") return Buffer.from(value.text, "utf8");
  throw new ControlError(422, "a file is a text, {text}, {base64}, {copy} or null");
}

function identity({ author, date = new Date().toISOString() }) {
  // Whole seconds in UTC, so that emulate, which keeps dates as text, computes the very same commit.
  const stamp = `${Math.floor(Date.parse(date) / 1000)} +0000`;
  return {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_AUTHOR_DATE: stamp,
    GIT_COMMITTER_NAME: author.name,
    GIT_COMMITTER_EMAIL: author.email,
    GIT_COMMITTER_DATE: stamp,
  };
}

export function runGit(args, { input, env = {}, cwd } = {}) {
  return new Promise((resolvePromise, reject) => {
    const child = spawn("git", args, { env: { ...GIT_ENV, ...env }, cwd });
    const out = [];
    const err = [];
    child.stdout.on("data", (chunk) => out.push(chunk));
    child.stderr.on("data", (chunk) => err.push(chunk));
    child.stdin.on("error", () => {}); // git may close stdin early; its exit status tells the story
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolvePromise(Buffer.concat(out));
      else {
        const why = Buffer.concat(err).toString("utf8").trim();
        reject(new ControlError(422, `git ${args.filter((arg) => !arg.startsWith("/")).join(" ")}: ${why}`));
      }
    });
    child.stdin.end(input ?? "");
  });
}
