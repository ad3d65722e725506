// Control calls about webhooks: any event by hand, re-delivery, holding and losing them.
import { accountOf } from "../adapter/access.mjs";
import { ControlError } from "../adapter/world.mjs";
import { need, showDelivery, shownDeliveries } from "./calls.mjs";
import { installationJson } from "./repositories.mjs";

export function webhookControls({ world, events, deliveries }) {
  const { gh } = world;

  /** Sends any event; `repo` and `as` fill in `repository` and `sender`. */
  async function emit({ body }) {
    need(body, ["event"]);
    const filled = { ...body.payload };
    if (body.action) filled.action ??= body.action;
    if (body.repo) filled.repository ??= await world.repositoryJson(world.repository(body.repo));
    if (body.as) filled.sender ??= accountOf(gh.users.findOneBy("login", body.as));
    const record = events.emit({ event: body.event, action: filled.action ?? null, payload: filled });
    return { deliveries: await shownDeliveries(deliveries, [record], body.wait) };
  }

  /** `installation.created` with its repositories, as after pressing "Install"; `suspend` and `unsuspend` take effect. */
  async function announceInstallation({ body }) {
    const rows = gh.appInstallations.all();
    const row = body.id ? rows.find((candidate) => candidate.installation_id === body.id) : rows[0];
    if (!row) throw new ControlError(404, "no such installation");
    const covered = gh.repos
      .findBy("owner_id", row.account_id)
      .filter((repo) => repo.owner_type === row.account_type)
      .filter((repo) => row.repository_selection === "all" || row.repository_ids.includes(repo.id));
    const action = body.action ?? "created";
    const suspended = { suspend: new Date().toISOString(), unsuspend: null }[action];
    if (suspended !== undefined) gh.appInstallations.update(row.id, { suspended_at: suspended });
    const payload = {
      action,
      installation: await installationJson(world, row),
      repositories: covered.map(({ id, node_id, name, full_name, private: hidden }) => ({
        ...{ id, node_id, name, full_name },
        private: hidden,
      })),
      requester: null,
      sender: body.as ? accountOf(gh.users.findOneBy("login", body.as)) : undefined,
    };
    const record = events.emit({ event: "installation", action, payload });
    return { deliveries: await shownDeliveries(deliveries, [record], body.wait) };
  }

  async function redeliver({ params, body }) {
    const record = deliveries.redeliver(params.id, { newGuid: body.new_guid === true });
    if (!record) throw new ControlError(404, `no delivery ${params.id}`);
    return { deliveries: await shownDeliveries(deliveries, [record], body.wait) };
  }

  async function setMode({ body }) {
    if (!["deliver", "hold", "lose"].includes(body.mode)) throw new ControlError(422, "mode: deliver, hold or lose");
    deliveries.setMode(body.mode, { reversed: body.reversed === true });
    if (body.mode === "deliver" && body.wait !== false) await deliveries.idle();
    return { mode: deliveries.mode };
  }

  function list({ query }) {
    const event = query.get("event");
    const rows = deliveries.list().filter((record) => !event || record.event === event);
    const withPayload = query.get("payload") === "true";
    return rows.map((record) => ({
      ...showDelivery(record),
      response: record.response.payload,
      ...(withPayload ? { headers: record.request_headers, payload: JSON.parse(record.body) } : {}),
    }));
  }

  function setHook({ body }) {
    if (body.url) deliveries.hook.url = body.url;
    if (body.secret) deliveries.hook.secret = body.secret;
    return { url: deliveries.hook.url };
  }

  return [
    { method: "POST", path: "/_stand-in/events", handle: emit },
    { method: "POST", path: "/_stand-in/installations/announce", handle: announceInstallation },
    { method: "GET", path: "/_stand-in/deliveries", handle: list },
    { method: "POST", path: "/_stand-in/deliveries/:id/redeliver", handle: redeliver },
    { method: "POST", path: "/_stand-in/webhooks", handle: setMode },
    { method: "POST", path: "/_stand-in/hook", handle: setHook },
  ];
}
