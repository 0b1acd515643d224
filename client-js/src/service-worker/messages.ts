// What the service worker and its pages say to each other, and what the server's pushes say to the service worker.

import { fields, text, whole } from "../core/wire.js";

/** Where a service worker notes what was read while no page was open: the name of a cache, and of the addresses in it. */
export const NOTES = "carillon-read";

/** From the service worker to its pages. */
export type Said = { readonly carillon: "clicked"; readonly id: string } | { readonly carillon: "subscription changed" };

export function saidFrom(given: unknown): Said | null {
  const { carillon, id } = fields(given);
  if (carillon === "clicked" && text(id) !== "") return { carillon, id: text(id) };
  return carillon === "subscription changed" ? { carillon } : null;
}

/** A push: something to show, or something shown that is to go. */
export type Push =
  | { readonly kind: "retract"; readonly tag: string }
  | {
      readonly kind: "show";
      readonly title: string;
      readonly body: string;
      readonly icon: string;
      readonly badge: string;
      readonly tag: string;
      readonly id: string;
      readonly url: string;
      readonly isUrgent: boolean;
      /** Where one click ends such pushes, and what the button says. */
      readonly stop: { readonly url: string; readonly title: string | null } | null;
      readonly actions: readonly { readonly action: string; readonly title: string }[];
    };

export function pushFrom(given: unknown): Push | null {
  const said = fields(given);
  const old = fields(said.retract);
  const tag = text(said.tag) || text(old.tag) || text(said.retract);
  if (said.type === "retract" || said.retract !== undefined) return tag === "" ? null : { kind: "retract", tag };
  const data = fields(said.data);
  const title = text(said.title) || text(said.body);
  if (title === "") return null;
  return {
    kind: "show",
    title,
    body: text(said.title) === "" ? "" : text(said.body),
    icon: text(said.icon),
    badge: text(said.badge),
    tag,
    id: text(data.uuid) || tag || String(whole(data.notification_id) ?? ""),
    url: text(data.action_url),
    stop: text(data.unsubscribe_url) === "" ? null : { url: text(data.unsubscribe_url), title: text(data.unsubscribe_title) || null },
    isUrgent: said.priority === "urgent" || said.priority === "critical",
    actions: (Array.isArray(said.actions) ? said.actions : [])
      .map(fields)
      .map(({ action, title: label }) => ({ action: text(action), title: text(label) }))
      .filter(({ action, title: label }) => action !== "" && label !== ""),
  };
}

