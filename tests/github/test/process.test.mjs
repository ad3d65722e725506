import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { test } from "node:test";

const here = (name) => new URL(`../${name}`, import.meta.url).pathname;

test("one command starts it from a fresh seed, and it goes with its parent's pipe", async () => {
  const folder = mkdtempSync(join(tmpdir(), "stand-in-process-"));
  try {
    const seeded = execFileSync(process.execPath, [here("seed.mjs"), "--out", folder], { encoding: "utf8" });
    const { seed, private_key: key, webhook_secret: secret, app_id: appId } = JSON.parse(seeded);
    assert.match(readFileSync(key, "utf8"), /^-----BEGIN RSA PRIVATE KEY-----/);
    assert.equal(statSync(secret).mode & 0o077, 0, "secrets are their owner's alone");
    const args = [here("stand-in.mjs"), "--seed", seed, "--git-root", join(folder, "git"), "--stop-with-stdin"];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    const [line] = await once(child.stdout, "data");
    const { ready, url, pid } = JSON.parse(line);
    assert.deepEqual([ready, pid], [true, child.pid]);
    assert.equal((await fetch(`${url}/_stand-in/state`)).status, 200);
    assert.equal((await fetch(`${url}/app`)).status, 401, `App ${appId} needs a JWT`);
    child.stdin.end();
    const [code] = await once(child, "exit");
    assert.equal(code, 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
