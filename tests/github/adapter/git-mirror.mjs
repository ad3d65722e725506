// Keeps the bare repositories and emulate's git data equal, whichever side was written: a control push or a real
// `git push` is read into the store, a ref or file written through the REST API is written out as loose objects.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { deflateSync } from "node:zlib";
import { commitContent, objectSha, parseBatch, parseCommit, parseTree, treeContent } from "./git-objects.mjs";

export class GitMirror {
  #mirrored = new Map(); // full name -> Map(ref -> sha) as last made equal
  #inGit = new Set(); // "repo id:sha" of every object known to lie in the bare repository

  constructor(world, repositories) {
    this.gh = world.gh;
    this.repositories = repositories;
  }

  /** Reads what `sha` reaches into the store of `repo`, as far as it is not there yet. */
  async importObjects(repo, sha) {
    const known = this.#knownShas(repo);
    if (known.has(sha)) return;
    const listing = await this.repositories.text(repo.full_name, ["rev-list", "--objects", "--no-object-names", sha]);
    const missing = listing.split("\n").filter((candidate) => candidate && !known.has(candidate));
    const batch = await this.repositories.run(repo.full_name, ["cat-file", "--batch"], {
      input: `${missing.join("\n")}\n`,
    });
    const objects = parseBatch(batch);
    const sizes = new Map(objects.filter(({ type }) => type === "blob").map((blob) => [blob.sha, blob.content.length]));
    for (const row of this.gh.blobs.findBy("repo_id", repo.id)) sizes.set(row.sha, row.size);
    for (const object of objects) this.#insert(repo, object, sizes);
  }

  #knownShas(repo) {
    const rows = [this.gh.commits, this.gh.trees, this.gh.blobs].flatMap((table) => table.findBy("repo_id", repo.id));
    return new Set(rows.map((row) => row.sha));
  }

  #insert(repo, { sha, type, content }, sizes) {
    const row = { repo_id: repo.id, sha, node_id: `${type}_${sha}` };
    this.#inGit.add(`${repo.id}:${sha}`);
    if (type === "blob") {
      const text = content.toString("utf8");
      const isText = !text.includes("\0") && Buffer.from(text, "utf8").equals(content);
      const encoding = isText ? "utf-8" : "base64";
      this.gh.blobs.insert({ ...row, content: content.toString(encoding), encoding, size: content.length });
    } else if (type === "tree") {
      const tree = parseTree(content).map((entry) =>
        entry.type === "blob" ? { ...entry, size: sizes.get(entry.sha) ?? 0 } : entry,
      );
      this.gh.trees.insert({ ...row, tree, truncated: false });
    } else if (type === "commit") {
      this.gh.commits.insert({ ...row, ...parseCommit(content), user_id: null });
    }
  }

  /** Sets (or with null removes) one ref in the store; the caller has imported its objects. */
  setStoreRef(repo, ref, sha) {
    const { refs, branches } = this.gh;
    const row = refs.findBy("repo_id", repo.id).find((candidate) => candidate.ref === ref);
    if (sha === null) {
      if (row) refs.delete(row.id);
    } else if (row) refs.update(row.id, { sha });
    else refs.insert({ repo_id: repo.id, ref, sha, node_id: `REF_${repo.id}_${ref}` });

    if (ref.startsWith("refs/heads/")) {
      const name = ref.slice("refs/heads/".length);
      const branch = branches.findBy("repo_id", repo.id).find((candidate) => candidate.name === name);
      if (sha === null) {
        if (branch) branches.delete(branch.id);
      } else if (branch) branches.update(branch.id, { sha });
      else branches.insert({ repo_id: repo.id, name, sha, protected: false });
      this.gh.repos.update(repo.id, { pushed_at: new Date().toISOString() });
    }
    this.#remember(repo, ref, sha);
  }

  storeRefs(repo) {
    return new Map(this.gh.refs.findBy("repo_id", repo.id).map(({ ref, sha }) => [ref, sha]));
  }

  /**
   * Writes refs that changed in the store (through the REST API) into the bare repository. Synchronous on purpose, but
   * for deletions: the webhook emulate has just queued must not reach the App before its commit can be fetched.
   */
  exportRefs(repo) {
    if (!this.repositories.exists(repo.full_name)) return Promise.resolve();
    const mirrored = this.#mirrored.get(repo.full_name) ?? new Map();
    const current = this.storeRefs(repo);
    for (const [ref, sha] of current) {
      if (mirrored.get(ref) === sha) continue;
      this.#exportCommit(repo, sha);
      this.#writeLoose(repo, ref, Buffer.from(`${sha}\n`));
      this.#remember(repo, ref, sha);
    }
    const gone = [...mirrored.keys()].filter((ref) => !current.has(ref));
    for (const ref of gone) this.#remember(repo, ref, null);
    return Promise.all(gone.map((ref) => this.repositories.setRef(repo.full_name, ref, null)));
  }

  #exportCommit(repo, sha) {
    const commit = this.#row("commits", repo, sha);
    if (!commit || !this.#writeObject(repo, "commit", sha, () => commitContent(commit))) return;
    this.#exportTree(repo, commit.tree_sha);
    for (const parent of commit.parent_shas) this.#exportCommit(repo, parent);
  }

  #exportTree(repo, sha) {
    const tree = this.#row("trees", repo, sha);
    if (!tree || !this.#writeObject(repo, "tree", sha, () => treeContent(tree.tree))) return;
    for (const entry of tree.tree) {
      if (entry.type === "tree") this.#exportTree(repo, entry.sha);
      if (entry.type !== "blob") continue;
      const blob = this.#row("blobs", repo, entry.sha);
      if (blob) this.#writeObject(repo, "blob", entry.sha, () => Buffer.from(blob.content, blob.encoding));
    }
  }

  #row(table, repo, sha) {
    return this.gh[table].findBy("sha", sha).find((row) => row.repo_id === repo.id);
  }

  /** @returns whether the object was new, so that what it points to has to be written too */
  #writeObject(repo, type, sha, build) {
    const key = `${repo.id}:${sha}`;
    if (this.#inGit.has(key)) return false;
    const content = build();
    if (objectSha(type, content) !== sha) throw new Error(`stand-in: ${type} ${sha} is not what git would make of it`);
    const header = Buffer.from(`${type} ${content.length}\0`);
    this.#writeLoose(repo, `objects/${sha.slice(0, 2)}/${sha.slice(2)}`, deflateSync(Buffer.concat([header, content])));
    this.#inGit.add(key);
    return true;
  }

  #writeLoose(repo, name, bytes) {
    const path = join(this.repositories.path(repo.full_name), name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
  }

  #remember(repo, ref, sha) {
    const refs = this.#mirrored.get(repo.full_name) ?? new Map();
    if (sha === null) refs.delete(ref);
    else refs.set(ref, sha);
    this.#mirrored.set(repo.full_name, refs);
  }
}
