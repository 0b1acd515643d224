import type { Mark } from "./ledger.js";
import type { Storage } from "./memory.js";
import type { Notification } from "./notification.js";
import type { Problem } from "./problem.js";
import type { GetToken } from "./tokens.js";
import type { Standing, Transport } from "./transport.js";

export interface ConnectOptions {
  /** Where the server is, such as `https://notify.example.com`; `/` is where the page comes from. */
  readonly url: string;
  /** A token that does not change. With `getToken` a new one is got before the old one ends. */
  readonly token?: string;
  readonly getToken?: GetToken;
  /** `webSocket()` if nothing is said; `socketIo(io)`. */
  readonly transport?: Transport;
  /** Whether tabs share one socket. They do, if nothing is said and the browser can. */
  readonly shareSocket?: boolean;
  /** What outlives the page: `localStorage` if nothing is said; null for nothing. */
  readonly storage?: Storage | null;
  /** Notifications on one page of a list: 20 if nothing is said, 100 at most. */
  readonly pageSize?: number;
  readonly fetch?: typeof fetch;
  /** For tests: a number from 0 to 1. */
  readonly random?: () => number;
}

/** What a client tells, by `on`. */
export interface ClientEvents {
  /** One came, for the first time here. `missed`: it was sent while nobody listened; better not to ring for it. */
  readonly notification: { readonly notification: Notification; readonly missed: boolean };
  /** How one stands is different, whoever changed it, on whatever device; a null `id` means all there are. Told once for each change. */
  readonly changed: { readonly id: string | null; readonly standing: Standing };
  /**
   * The server refused what the person did; it is shown as it was before. What was gone meanwhile (`problem.status` is 404) is
   * not shown any more.
   */
  readonly refused: { readonly action: Mark["kind"]; readonly id: string | null; readonly problem: Problem };
  /** The server no longer had the place where to go on: what was missed is in the list, and was not told one by one. */
  readonly truncated: { readonly since: string | null };
  /** The server did not do something that was said over the socket. */
  readonly complaint: { readonly error: string; readonly detail: string };
}
