// Pure: git's object formats to and from the records emulate keeps in its store.
import { createHash } from "node:crypto";

export function objectSha(type, content) {
  return createHash("sha1").update(`${type} ${content.length}\0`).update(content).digest("hex");
}

/** Splits the output of `git cat-file --batch` into `{sha, type, content}`. */
export function parseBatch(buffer) {
  const objects = [];
  let at = 0;
  while (at < buffer.length) {
    const end = buffer.indexOf(10, at);
    const [sha, type, size] = buffer.toString("utf8", at, end).split(" ");
    const content = buffer.subarray(end + 1, end + 1 + Number(size));
    objects.push({ sha, type, content });
    at = end + 2 + Number(size);
  }
  return objects;
}

const MODE_TYPES = { "040000": "tree", 160000: "commit" };

export function parseTree(content) {
  const entries = [];
  let at = 0;
  while (at < content.length) {
    const space = content.indexOf(32, at);
    const zero = content.indexOf(0, space);
    const mode = content.toString("utf8", at, space).padStart(6, "0");
    const path = content.toString("utf8", space + 1, zero);
    const sha = content.toString("hex", zero + 1, zero + 21);
    entries.push({ path, mode, type: MODE_TYPES[mode] ?? "blob", sha });
    at = zero + 21;
  }
  return entries;
}

export function treeContent(entries) {
  // git orders a directory as though its name ended in a slash
  const sortName = (entry) => Buffer.from(entry.type === "tree" ? `${entry.path}/` : entry.path);
  const ordered = [...entries].sort((left, right) => Buffer.compare(sortName(left), sortName(right)));
  return Buffer.concat(
    ordered.flatMap(({ mode, path, sha }) => [
      Buffer.from(`${mode.replace(/^0+/, "")} ${path}\0`),
      Buffer.from(sha, "hex"),
    ]),
  );
}

export function parseCommit(content) {
  const text = content.toString("utf8");
  const split = text.indexOf("\n\n");
  const headers = text.slice(0, split).split("\n");
  const all = (name) =>
    headers.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
  const author = parseIdentity(all("author")[0]);
  const committer = parseIdentity(all("committer")[0]);
  return {
    tree_sha: all("tree")[0],
    parent_shas: all("parent"),
    author_name: author.name,
    author_email: author.email,
    author_date: author.date,
    committer_name: committer.name,
    committer_email: committer.email,
    committer_date: committer.date,
    message: text.slice(split + 2).replace(/\n$/, ""), // emulate adds the one newline back when it hashes
  };
}

export function commitContent(commit) {
  const lines = [`tree ${commit.tree_sha}`, ...commit.parent_shas.map((sha) => `parent ${sha}`)];
  lines.push(`author ${commit.author_name} <${commit.author_email}> ${gitDate(commit.author_date)}`);
  lines.push(`committer ${commit.committer_name} <${commit.committer_email}> ${gitDate(commit.committer_date)}`);
  const message = commit.message.endsWith("\n") ? commit.message : `${commit.message}\n`;
  return Buffer.from(`${lines.join("\n")}\n\n${message}`);
}

function parseIdentity(line) {
  const match = /^(.*) <(.*)> (\d+) ([+-])(\d{2})(\d{2})$/.exec(line);
  if (!match) throw new Error(`not a git identity: ${line}`);
  const [, name, email, seconds, sign, hours, minutes] = match;
  const offset = (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
  const local = new Date((Number(seconds) + offset * 60) * 1000).toISOString().slice(0, 19);
  return { name, email, date: offset === 0 ? `${local}Z` : `${local}${sign}${hours}:${minutes}` };
}

function gitDate(date) {
  const zone = /([+-])(\d{2}):?(\d{2})$/.exec(date);
  return `${Math.floor(Date.parse(date) / 1000)} ${zone ? zone.slice(1).join("") : "+0000"}`;
}
