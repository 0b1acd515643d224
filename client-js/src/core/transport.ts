import type { Notification } from "./notification.js";

/** How a notification stands, as the server says. */
export type Standing = "read" | "unread" | "removed";

/** What the server calls them. */
export const STANDINGS: Readonly<Record<string, Standing>> = { read: "read", delivered: "unread", deleted: "removed" };

/** Why a link ended: `token` wants a newer token, `busy` a longer wait; `lost` is everything else. */
export interface Closing {
  readonly reason: "token" | "busy" | "lost";
  readonly detail: string;
}

/** What a link tells. After `closed` it tells nothing more. */
export interface Ears {
  /** The server knows who we are. */
  opened(): void;
  /** `missed`: it was sent while nobody listened here. */
  notification(notification: Notification, missed: boolean): void;
  /** Everything up to this notification was heard: the next link may go on behind it. */
  reached(id: string): void;
  /** A null `id`: all there are. */
  stands(id: string | null, standing: Standing): void;
  /** The server cannot go on where it was asked to; the list has to be read anew. */
  truncated(): void;
  /** The server did not do something it was told. */
  complained(error: string, detail: string): void;
  closed(why: Closing): void;
}

/** One connection that is there, or being made. */
export interface Link {
  /** A newer token, before the old one ends. */
  authenticate(token: string): void;
  /** This device has it. */
  received(id: string): void;
  close(): void;
}

/** A way to reach the server. */
export interface Transport {
  /** Throws, with what to do about it, if it can never work on this platform. */
  check?(): void;
  open(at: { readonly url: string; readonly token: string; readonly since: string | null }, ears: Ears): Link;
}
