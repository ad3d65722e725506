// Turns an event of the emulator, or of a control call, into the payload a GitHub App's webhook carries, and decides
// whether the App gets it at all: installed there, not suspended, subscribed.
import { fillShapes } from "./shapes.mjs";

// An App gets these without subscribing: they concern the App itself.
const ALWAYS = new Set(["ping", "installation", "installation_repositories", "github_app_authorization"]);

export class Events {
  #quiet = 0;

  constructor(world, deliveries) {
    this.world = world;
    this.deliveries = deliveries;
    this.listeners = [];
    world.onEvent((event) => {
      if (this.#quiet === 0) this.emit(event);
    });
  }

  /** Runs `work` without emulate's own events, for steps whose event we send ourselves in full. */
  async quietly(work) {
    this.#quiet++;
    try {
      return await work();
    } finally {
      this.#quiet--;
    }
  }

  /** Called with every event, sent or not; the git mirror learns of emulate's pushes this way. */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** @returns the delivery's record, or undefined where the App would not get the event. */
  emit({ event, action, payload, owner, repo }) {
    const fullName = payload.repository?.full_name ?? (owner && repo ? `${owner}/${repo}` : undefined);
    const repository = fullName ? this.world.gh.repos.findOneBy("full_name", fullName) : undefined;
    for (const listener of this.listeners) listener({ event, action, payload, repository });
    const installation = this.#installationFor(event, action, repository, payload);
    if (!installation) return undefined;
    return this.deliveries.emit({ event, action, payload: this.#complete(event, payload, repository, installation) });
  }

  #installationFor(event, action, repository, payload) {
    const { gh } = this.world;
    const app = gh.apps.all()[0];
    if (!app || !this.#subscribed(app, event, action)) return undefined;
    if (payload.installation?.id) {
      return gh.appInstallations.all().find((row) => row.installation_id === payload.installation.id);
    }
    if (!repository) return gh.appInstallations.findBy("app_id", app.app_id)[0];
    return installationOf(gh, repository, app.app_id);
  }

  #subscribed(app, event, action) {
    if (ALWAYS.has(event) || app.events.includes(event) || app.events.includes("*")) return true;
    // GitHub sends these to every App that may write checks: only that App can answer them.
    const ownChecks = ["requested", "rerequested", "requested_action"].includes(action);
    return ownChecks && ["check_run", "check_suite"].includes(event) && app.permissions.checks === "write";
  }

  #complete(event, payload, repository, installation) {
    const { gh, baseUrl } = this.world;
    const full = { ...payload };
    if (event === "pull_request") full.number ??= full.pull_request?.number;
    if (event === "issue_comment" && repository && full.issue) {
      full.issue = { ...full.issue, ...pullRequestOfIssue(gh, baseUrl, repository, full.issue.number) };
    }
    if (repository?.owner_type === "Organization") {
      const org = gh.orgs.get(repository.owner_id);
      full.organization ??= {
        login: org.login,
        id: org.id,
        node_id: org.node_id,
        url: `${baseUrl}/orgs/${org.login}`,
        ...organizationUrls(`${baseUrl}/orgs/${org.login}`),
        avatar_url: `${baseUrl}/avatars/${org.id}`,
        description: org.description ?? "",
      };
    }
    full.installation ??= {
      id: installation.installation_id,
      node_id: Buffer.from(`0:Installation${installation.installation_id}`).toString("base64"),
    };
    return fillShapes(full, this.world);
  }
}

function organizationUrls(url) {
  return {
    repos_url: `${url}/repos`,
    events_url: `${url}/events`,
    hooks_url: `${url}/hooks`,
    issues_url: `${url}/issues`,
    members_url: `${url}/members{/member}`,
    public_members_url: `${url}/public_members{/member}`,
  };
}

/** GitHub marks a comment's issue as a pull request by this member, which emulate leaves out. */
function pullRequestOfIssue(gh, baseUrl, repository, number) {
  const issue = gh.issues.findBy("repo_id", repository.id).find((row) => row.number === number);
  if (!issue?.is_pull_request) return {};
  const html = `${baseUrl}/${repository.full_name}/pull/${number}`;
  const url = `${baseUrl}/repos/${repository.full_name}/pulls/${number}`;
  return {
    html_url: html,
    draft: false,
    pull_request: { url, html_url: html, diff_url: `${html}.diff`, patch_url: `${html}.patch`, merged_at: null },
  };
}

/** The installation of this App that covers the repository, if any. */
export function installationOf(gh, repository, appId) {
  return gh.appInstallations.all().find((row) => {
    if (row.app_id !== appId || row.suspended_at) return false;
    if (row.account_id !== repository.owner_id || row.account_type !== repository.owner_type) return false;
    return row.repository_selection === "all" || row.repository_ids.includes(repository.id);
  });
}
