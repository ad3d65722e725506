// What the control calls share: saying which member is missing, and waiting for the webhooks a call caused.
import { ControlError } from "../adapter/world.mjs";

export function need(body, names) {
  const missing = names.filter((name) => body?.[name] === undefined);
  if (missing.length) throw new ControlError(422, `missing: ${missing.join(", ")}`);
}

/** The deliveries a call caused, by default after the App has answered them (`wait: false` returns at once). */
export async function shownDeliveries(deliveries, records, wait = true) {
  if (wait) await deliveries.idle();
  return records.filter(Boolean).map(showDelivery);
}

export function showDelivery({ id, guid, event, action, status, status_code, redelivery, delivered_at }) {
  return { id, guid, event, action, status, status_code, redelivery, delivered_at };
}
