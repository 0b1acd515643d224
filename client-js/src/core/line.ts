import { Backoff } from "./backoff.js";
import { type Tokens, claims } from "./tokens.js";
import type { Closing, Ears, Link, Transport } from "./transport.js";

/** How the connection to the server is. */
export interface Connection {
  /**
   * `connecting`, `open`; `waiting` until the next attempt; `offline` while the browser has no network; `refused`: the
   * token does not do, and `getToken` has no other; `closed` by `close()`.
   */
  readonly status: "connecting" | "open" | "waiting" | "offline" | "refused" | "closed";
  /** Whose socket it is: this tab's own, which others may share, or another tab's. */
  readonly socket: "own" | "shared" | "another tab's";
  /** Why it is not open, for people; null if it is. */
  readonly detail: string | null;
  /** Attempts that failed since it was open. */
  readonly failures: number;
}

export type LineState = Omit<Connection, "socket">;

/** What a line needs from outside. */
export interface LineNeeds {
  readonly url: string;
  readonly transport: Transport;
  readonly tokens: Tokens;
  readonly random: () => number;
  readonly since: () => string | null;
  readonly ears: Omit<Ears, "opened" | "closed">;
  readonly changed: (state: LineState) => void;
}

/** A link that has lived so long was a success. */
const STEADY_MS = 10_000;
/** How long before its end a token is renewed, at most; a short one at four fifths of its life. */
const LEAD_MS = 60_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Keeps one link open: makes it anew when it ends, and renews its token before that ends. */
export class Line {
  readonly #backoff: Backoff;
  #link: Link | null = null;
  #token = "";
  /** The token that the server would not have. */
  #refused: string | null = null;
  #isOver = false;
  /** The browser says that there is no network: whatever is tried meanwhile, that is how it is. */
  #isOffline = false;
  #attempt = 0;
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #steady: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #status: LineState["status"] = "connecting";

  constructor(private readonly needs: LineNeeds) {
    this.#backoff = new Backoff(needs.random);
    void this.#connect();
  }

  /** The browser says that the network is back. */
  online(): void {
    this.#isOffline = false;
    this.#backoff.succeeded();
    this.wake();
  }

  /** Somebody looks at the page: no need to wait any longer. */
  wake(): void {
    if (this.#isOver || this.#link !== null || this.#status === "connecting" || this.#status === "refused") return;
    this.#pause(this.needs.random() * 250, "waiting", null);
  }

  /** The browser says that there is no network. It may err, so attempts go on. */
  offline(): void {
    this.#isOffline = true;
    if (this.#isOver || this.#status === "refused") return;
    this.#drop();
    this.#pause(this.#backoff.next(), "waiting", null);
  }

  /** To be called when `getToken` would give another answer than before. */
  retry(): void {
    if (this.#isOver || this.#link !== null) return;
    this.#pause(0, "waiting", null);
  }

  close(): void {
    this.#isOver = true;
    this.#drop();
    this.#say("closed", null);
  }

  async #connect(): Promise<void> {
    this.#attempt += 1;
    const refused = this.#refused;
    const attempt = this.#attempt;
    const { tokens, transport, url, since } = this.needs;
    this.#say("connecting", null);
    let token: string;
    try {
      token = await (refused === null ? tokens.current() : tokens.renew(refused));
    } catch (fault) {
      if (attempt !== this.#attempt || this.#isOver) return;
      const why = fault instanceof Error ? fault.message : "unknown";
      return this.#pause(this.#backoff.next(), "waiting", `getToken failed: ${why}`);
    }
    if (attempt !== this.#attempt || this.#isOver) return;
    if (token === refused) return this.#say("refused", "the server refuses the token, and getToken gives no other");
    this.#token = token;
    try {
      this.#link = transport.open({ url, token, since: since() }, this.#ears());
    } catch (fault) {
      this.#closed({ reason: "lost", detail: fault instanceof Error ? fault.message : "the transport failed" });
    }
  }

  #ears(): Ears {
    const { ears } = this.needs;
    return {
      ...ears,
      opened: () => this.#opened(),
      notification: (notification, missed) => {
        ears.notification(notification, missed);
        this.#link?.received(notification.id);
      },
      closed: (why) => this.#closed(why),
    };
  }

  #opened(): void {
    this.#refused = null;
    this.#isOffline = false;
    this.#steady = setTimeout(() => this.#backoff.succeeded(), STEADY_MS);
    this.#renewLater();
    this.#say("open", null);
  }

  #closed({ reason, detail }: Closing): void {
    this.#drop();
    const wait = this.#backoff.next();
    if (reason === "token") this.#refused = this.#token;
    this.#pause(reason === "busy" ? wait + 5000 : wait, "waiting", detail);
  }

  #renewLater(): void {
    clearTimeout(this.#renewal);
    const { expiresAt } = claims(this.#token);
    if (expiresAt === null) return;
    const left = expiresAt - Date.now();
    // The server has just taken it: if it seems to have ended, the clock here is wrong, and the server will say when.
    const wait = left <= 0 ? LEAD_MS : Math.max(1000, left - LEAD_MS, left * 0.8);
    this.#renewal = setTimeout(() => void this.#renew(), Math.min(wait, LONGEST_TIMER_MS));
  }

  async #renew(): Promise<void> {
    const link = this.#link;
    const { expiresAt } = claims(this.#token);
    if (expiresAt !== null && expiresAt - Date.now() > LEAD_MS * 2) return this.#renewLater();
    try {
      const newer = await this.needs.tokens.renew(this.#token);
      if (link === null || link !== this.#link) return;
      if (newer !== this.#token) {
        this.#token = newer;
        link.authenticate(newer);
      }
    } catch {
      // The next attempt comes sooner; at last the server says that the token has ended.
    }
    if (link !== null && link === this.#link) this.#renewLater();
  }

  #pause(ms: number, status: LineState["status"], detail: string | null): void {
    clearTimeout(this.#waiting);
    this.#attempt += 1;
    this.#say(status, detail);
    this.#waiting = setTimeout(() => void this.#connect(), ms);
  }

  #drop(): void {
    clearTimeout(this.#waiting);
    clearTimeout(this.#steady);
    clearTimeout(this.#renewal);
    const link = this.#link;
    this.#link = null;
    link?.close();
  }

  #say(status: LineState["status"], detail: string | null): void {
    const isOffline = this.#isOffline && (status === "waiting" || status === "connecting");
    this.#status = isOffline ? "offline" : status;
    this.needs.changed({
      status: this.#status,
      detail: isOffline ? "the browser has no network" : detail,
      failures: this.#backoff.failures,
    });
  }
}
