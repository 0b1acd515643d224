import { Api } from "./api.js";
import { Backoff } from "./backoff.js";
import { Cell, Emitter, type Stop, type Store } from "./emitter.js";
import { Ledger } from "./ledger.js";
import { type Connection, Line } from "./line.js";
import { List, type NotificationList } from "./list.js";
import { type MarkTold, Marks, type Settled } from "./marks.js";
import { Memory, browserStorage } from "./memory.js";
import type { Filter, Notification } from "./notification.js";
import type { ClientEvents, ConnectOptions } from "./options.js";
import { type Leading, Tabs } from "./tabs.js";
import { Tokens, claims } from "./tokens.js";
import type { Standing, Transport } from "./transport.js";
import { webSocket } from "./websocket.js";

type Told =
  | MarkTold
  | { readonly kind: "notification"; readonly notification: Notification; readonly missed: boolean }
  | { readonly kind: "reached"; readonly id: string }
  | { readonly kind: "stands"; readonly id: string | null; readonly standing: Standing }
  | { readonly kind: "truncated" }
  | { readonly kind: "connection"; readonly connection: Connection };

const REFRESH_AFTER_MS = 400;
/** Of so many that have come, the older half is forgotten. */
const MOST_KNOWN = 2000;
/** The name of the list without a filter. */
const WHOLE = "[]";

/** One person's inbox, kept in step with the server. `connect` makes it. */
export class Client {
  /** Requests, one method each. */
  readonly api: Api;
  /** How the connection is. */
  readonly connection: Store<Connection>;
  /** How many are unread in the whole inbox; null until the server has said so. */
  readonly unreadCount: Store<number | null>;
  readonly #options: ConnectOptions;
  readonly #transport: Transport;
  readonly #random: () => number;
  readonly #tokens: Tokens;
  readonly #events = new Emitter<ClientEvents>();
  readonly #ledger = new Ledger();
  readonly #lists = new Map<string, List>();
  readonly #connection = new Cell<Connection>({ status: "connecting", socket: "own", detail: null, failures: 0 });
  readonly #unread = new Cell<number | null>(null);
  readonly #marks: Marks;
  readonly #stops: Stop[] = [];
  #memory = new Memory(null, "");
  #tabs: Tabs<Told> | null = null;
  #line: Line | null = null;
  #since: string | null = null;
  #isOver = false;
  #isShared = false;
  #isDue = false;
  #refreshing: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectOptions) {
    const { token, getToken } = options;
    if (token === undefined && getToken === undefined) throw new TypeError("connect needs `token` or `getToken`.");
    this.#options = { ...options, url: new URL(options.url, globalThis.location?.href).href.replace(/\/+$/, "") };
    this.#transport = options.transport ?? webSocket();
    this.#transport.check?.();
    this.#random = options.random ?? Math.random;
    this.#tokens = new Tokens(getToken ?? (() => token ?? ""));
    this.api = new Api(this.#options.url, this.#tokens, options.fetch);
    this.connection = this.#connection;
    this.unreadCount = this.#unread;
    this.#marks = new Marks({
      api: this.api,
      ledger: this.#ledger,
      random: this.#random,
      changed: () => this.#show(),
      tell: (told) => {
        this.#tabs?.tell(told);
        // Whoever has the socket sends it: is there still somebody?
        if (this.#line === null) this.#tabs?.check();
      },
      settled: (settled) => this.#settled(settled),
    });
    void this.#start();
  }

  /** Listens, until the answer is called. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): Stop {
    return this.#events.on(name, listener);
  }

  /** The inbox, or what of it fits `filter`. The same filter gets the same list. */
  list(filter: Filter = {}): NotificationList {
    const parts = Object.entries(filter).filter(([, value]) => value !== undefined && value !== false);
    const key = JSON.stringify(parts.sort());
    const known = this.#lists.get(key);
    if (known !== undefined) return known;
    const needs = {
      api: this.api,
      ledger: this.#ledger,
      pageSize: Math.min(100, Math.max(1, this.#options.pageSize ?? 20)),
      changed: () => this.#show(),
      disputed: () => this.#refreshSoon(),
    };
    const list = new List(needs, Object.fromEntries(parts));
    this.#lists.set(key, list);
    void list.refresh();
    return list;
  }

  /** One that is known here, by its UUID. */
  known(id: string): Notification | null {
    return this.#ledger.view().notifications.find((one) => one.id === id) ?? null;
  }

  /**
   * Shown at once, and told to the server as soon as it can be reached. True once the server has taken it; false, and
   * shown as before, if it refused: the event `refused` has the reason.
   */
  read(id: string): Promise<boolean> {
    return this.#marks.add("read", id);
  }

  unread(id: string): Promise<boolean> {
    return this.#marks.add("unread", id);
  }

  remove(id: string): Promise<boolean> {
    return this.#marks.add("remove", id);
  }

  readAll(): Promise<boolean> {
    return this.#marks.add("readAll", null, this.#ledger.view().notifications[0]?.createdAt ?? null);
  }

  /** Reads lists and the count anew. Happens by itself on connecting, and when somebody comes back to the page. */
  async refresh(): Promise<void> {
    this.list();
    await Promise.all([...this.#lists.values()].map((list) => list.renew()));
  }

  /** Connects anew after `refused`: `getToken` would give another answer now. */
  retry(): void {
    this.#line?.retry();
  }

  /** Ends everything. What the server has not taken yet is told when the same person connects again. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#refreshing);
    this.#marks.close();
    this.#line?.close();
    this.#tabs?.close();
    for (const stop of this.#stops) stop();
    this.#connection.set({ status: "closed", socket: "own", detail: null, failures: 0 });
  }

  async #start(): Promise<void> {
    const token = await this.#firstToken();
    if (token === null) return;
    const who = claims(token);
    const name = who.subject === null ? null : JSON.stringify([this.#options.url, who.tenant ?? "", who.subject]);
    const { storage = browserStorage(), shareSocket = true } = this.#options;
    this.#memory = new Memory(name === null ? null : storage, name ?? "");
    this.#since = this.#memory.get("since");
    this.#watch();
    this.#marks.remember(this.#memory);
    this.list();
    this.#tabs = new Tabs<Told>({
      name: shareSocket ? name : null,
      lead: (how) => this.#lead(how),
      hear: (told) => this.#hear(told),
      greet: (leads) => {
        if (leads) this.#tabs?.tell({ kind: "connection", connection: this.#connection.getSnapshot() });
        this.#marks.retell();
        // Somebody looks at the other tab: what waits for another attempt waits no longer.
        this.#marks.flush();
      },
    });
    this.#marks.retell();
  }

  /** The first one says who is here, so nothing begins before it. Null: it was closed meanwhile. */
  async #firstToken(): Promise<string | null> {
    const backoff = new Backoff(this.#random);
    while (!this.#isOver) {
      try {
        const token = await this.#tokens.current();
        return this.#isOver ? null : token;
      } catch (fault) {
        const detail = `getToken failed: ${fault instanceof Error ? fault.message : "unknown"}`;
        const wait = backoff.next();
        if (!this.#isOver) this.#connection.set({ status: "waiting", socket: "own", detail, failures: backoff.failures });
        await new Promise((done) => setTimeout(done, wait));
      }
    }
    return null;
  }

  #lead(how: Leading): void {
    if (this.#isOver) return;
    if (how === "shared") this.#isShared = true;
    this.#marks.lead(how === "own" ? "own" : "all");
    if (this.#line !== null) return;
    const tell = (told: Told) => {
      this.#hear(told);
      if (this.#isShared) this.#tabs?.tell(told);
    };
    // Another tab may have gone on meanwhile.
    this.#since = this.#memory.get("since") ?? this.#since;
    this.#line = new Line({
      url: this.#options.url,
      transport: this.#transport,
      tokens: this.#tokens,
      random: this.#random,
      since: () => this.#since,
      ears: {
        notification: (notification, missed) => tell({ kind: "notification", notification, missed }),
        reached: (id) => tell({ kind: "reached", id }),
        stands: (id, standing) => tell({ kind: "stands", id, standing }),
        truncated: () => tell({ kind: "truncated" }),
        complained: (error, detail) => this.#events.emit("complaint", { error, detail }),
      },
      changed: (state) => {
        const connection: Connection = { ...state, socket: this.#isShared ? "shared" : "own" };
        this.#connected(connection);
        if (this.#isShared) this.#tabs?.tell({ kind: "connection", connection });
      },
    });
  }

  #hear(told: Told): void {
    if (this.#isOver) return;
    switch (told.kind) {
      case "notification": {
        const { notification, missed } = told;
        if (!this.#ledger.arrived(notification)) return;
        if (this.#ledger.size > MOST_KNOWN) this.#forget();
        this.#show();
        this.#events.emit("notification", { notification, missed });
        // What was missed may be in the count already.
        if (missed) this.#refreshSoon();
        return;
      }
      case "reached":
        this.#since = told.id;
        return this.#memory.set("since", told.id);
      case "stands": {
        const { id, standing } = told;
        const isNews = this.#ledger.differs(id, standing);
        if (!this.#ledger.stands(id, standing) || id === null) this.#refreshSoon();
        this.#show();
        if (isNews) this.#events.emit("changed", { id, standing });
        return;
      }
      case "marked":
        return this.#marks.heard(told.mark);
      case "settled":
        return this.#marks.settledElsewhere(told);
      case "truncated":
        this.#events.emit("truncated", { since: this.#since });
        this.#since = null;
        this.#memory.forget("since");
        return void this.refresh();
      case "connection":
        if (this.#line === null) this.#connected({ ...told.connection, socket: "another tab's" });
    }
  }

  #settled({ mark: { kind, id }, problem, isKnown, isOwn, news }: Settled): void {
    if (news !== null) this.#events.emit("changed", { id, standing: news });
    if (problem !== null && isOwn) this.#events.emit("refused", { action: kind, id, problem });
    // A count that was read meanwhile, or that nobody can know, is read again; else all is known.
    if (problem !== null || !isKnown || kind === "readAll" || this.#isDue) this.#refreshSoon();
  }

  /** A page that is open for weeks does not keep everything that ever came. */
  #forget(): void {
    for (const list of this.#lists.values()) list.cut(MOST_KNOWN / 2);
    const oldest = this.#ledger.view().notifications[MOST_KNOWN / 2 - 1];
    if (oldest !== undefined) this.#ledger.forget(oldest);
  }

  #connected(connection: Connection): void {
    if (this.#isOver) return;
    const before = this.#connection.getSnapshot().status;
    this.#connection.set(connection);
    if (connection.status !== "open" || before === "open") return;
    this.#marks.flush();
    void this.refresh();
  }

  /** Many things at once are one reason to read again. Not while marks are on their way: they would be in dispute again. */
  #refreshSoon(): void {
    clearTimeout(this.#refreshing);
    this.#isDue = true;
    if (this.#isOver || this.#ledger.marks.length > 0) return;
    this.#refreshing = setTimeout(() => {
      this.#isDue = false;
      void this.refresh();
    }, REFRESH_AFTER_MS);
  }

  #show(): void {
    for (const list of this.#lists.values()) list.show();
    if (this.#lists.get(WHOLE)?.getSnapshot().isReady) this.#unread.set(this.#ledger.view().unread);
  }

  #watch(): void {
    if (typeof window === "undefined") return;
    const hear = (target: EventTarget, event: string, then: () => void) => {
      target.addEventListener(event, then);
      this.#stops.push(() => target.removeEventListener(event, then));
    };
    hear(window, "online", () => {
      this.#line?.online();
      this.#marks.flush();
    });
    hear(window, "offline", () => this.#line?.offline());
    hear(document, "visibilitychange", () => {
      if (document.visibilityState !== "visible") return;
      this.#line?.wake();
      this.#tabs?.check();
      void this.refresh();
    });
  }
}

/** Connects one person to their inbox. In browsers; not while a page is rendered on a server. */
export function connect(options: ConnectOptions): Client {
  return new Client(options);
}
