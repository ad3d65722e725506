// The payloads GitHub has really sent, as the npm package @octokit/webhooks-examples recorded them. They are read from
// node_modules when a test runs; nothing of them is kept here.
import { readFileSync } from "node:fs";

const SOURCES = ["api.github.com", "ghes-31", "ghes-32", "ghes-33", "ghes-34", "ghes-35"];

/**
 * @param {{enterprise?: boolean, installation?: number, repository?: string}} options `enterprise` adds what GitHub
 *   Enterprise Server 3.1 to 3.5 sent; `installation` and `repository` rename those of every payload, so that an App
 *   which knows them goes on to handle the event instead of ignoring a stranger's
 * @returns {{name: string, event: string, action: string|null, payload: object}[]}
 */
export function recordedExamples({ enterprise = false, installation, repository } = {}) {
  return SOURCES.slice(0, enterprise ? undefined : 1).flatMap((source) =>
    read(source).flatMap(({ name: event, examples }) =>
      examples.map((example, index) => ({
        name: `${source}/${event}/${index}`,
        event,
        action: example.action ?? null,
        payload: renamed(example, { installation, repository }),
      })),
    ),
  );
}

function read(source) {
  const url = new URL(`../node_modules/@octokit/webhooks-examples/${source}/index.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8"));
}

function renamed(example, { installation, repository }) {
  const payload = structuredClone(example);
  if (installation) payload.installation = { ...payload.installation, id: installation };
  if (repository && payload.repository) {
    const [owner, name] = repository.split("/");
    Object.assign(payload.repository, { full_name: repository, name });
    payload.repository.owner = { ...payload.repository.owner, login: owner };
  }
  return payload;
}
