// The App's own view of its webhook: the deliveries GitHub has kept, and asking for one again.
import { deliveryDetail, deliverySummary } from "./deliveries.mjs";

const DELIVERY = "/app/hook/deliveries/:id";

export function makeHookRoutes({ baseUrl }, deliveries) {
  const appOnly = (handle) => (context) =>
    context.caller.kind === "app"
      ? handle(context)
      : Response.json({ message: "A JSON web token could not be decoded" }, { status: 401 });
  const notFound = () => Response.json({ message: "Not Found" }, { status: 404 });

  return [
    {
      method: "GET",
      path: "/app/hook/deliveries",
      handle: appOnly(({ query }) => {
        const perPage = Math.min(Number(query.get("per_page") ?? 30), 100);
        const failed = query.get("status") === "failure";
        const before = query.get("cursor") ? Number(query.get("cursor").replace(/^v1_/, "")) : Infinity;
        const all = deliveries.list().filter((row) => row.id < before && (!failed || row.status !== "OK"));
        const page = all.slice(0, perPage);
        const next = `${baseUrl}/app/hook/deliveries?per_page=${perPage}&cursor=v1_${page.at(-1)?.id}`;
        const headers = all.length > page.length ? { link: `<${next}>; rel="next"` } : {};
        return Response.json(page.map(deliverySummary), { headers });
      }),
    },
    {
      method: "GET",
      path: DELIVERY,
      handle: appOnly(({ params }) => {
        const record = deliveries.find(params.id);
        return record ? Response.json(deliveryDetail(record, deliveries.hook.url)) : notFound();
      }),
    },
    {
      method: "POST",
      path: `${DELIVERY}/attempts`,
      handle: appOnly(({ params }) =>
        deliveries.redeliver(params.id) ? Response.json({}, { status: 202 }) : notFound(),
      ),
    },
  ];
}
