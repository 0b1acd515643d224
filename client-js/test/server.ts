// A server made of arrays: what the client is told by it, and asks of it, goes through the transport and `fetch` that it is
// given. Answers are made when a request comes, and arrive after `delay`.

import { connect, type Client, type ConnectOptions, type Ears, type Notification, type Standing, type Transport } from "../src/index.js";

export const token = (sub: string, seconds = 3600): string => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + seconds })}.x`;
};

/** What `localStorage` is to a page. */
export class Kept {
  readonly map = new Map<string, string>();
  get length() {
    return this.map.size;
  }
  key(index: number) {
    return [...this.map.keys()][index] ?? null;
  }
  getItem(key: string) {
    return this.map.get(key) ?? null;
  }
  setItem(key: string, value: string) {
    this.map.set(key, value);
  }
  removeItem(key: string) {
    this.map.delete(key);
  }
}

interface Row {
  number: number;
  isRead: boolean;
  isRemoved: boolean;
  createdAt: string;
}

const uuid = (number: number) => `00000000-0000-7000-8000-${String(number).padStart(12, "0")}`;

export class Server {
  readonly rows: Row[] = [];
  readonly links = new Set<{ ears: Ears; token: string; opened: boolean }>();
  readonly opened: { since: string | null; token: string }[] = [];
  readonly renewed: string[] = [];
  readonly requests: string[] = [];
  isReachable = true;
  refuses: (method: string, path: string) => number | null = () => null;
  rejects: (token: string) => boolean = () => false;
  delay: () => number = () => 5;

  readonly transport: Transport = {
    open: ({ token, since }, ears) => {
      this.opened.push({ since, token });
      const link = { ears, token, opened: false };
      const close = () => void this.links.delete(link);
      setTimeout(() => {
        if (!this.isReachable) return ears.closed({ reason: "lost", detail: "unreachable" });
        if (this.rejects(token)) return ears.closed({ reason: "token", detail: "refused" });
        this.links.add(link);
        link.opened = true;
        ears.opened();
        const from = this.rows.findIndex((row) => uuid(row.number) === since);
        for (const row of this.rows.slice(from + 1)) {
          if (!row.isRemoved && (since !== null || !row.isRead)) this.#tell(link, row, true);
        }
      }, 5);
      return {
        authenticate: (newer) => {
          this.renewed.push(newer);
          link.token = newer;
        },
        received: () => {},
        close,
      };
    },
  };

  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    const method = init?.method ?? "GET";
    this.requests.push(`${method} ${url.pathname.replace("/api/v1/notifications", "")}${url.search}`);
    const refused = this.refuses(method, url.pathname);
    const answer = !this.isReachable
      ? null
      : refused !== null
        ? Response.json({ code: "refused", detail: "refused" }, { status: refused })
        : this.#answer(method, url, typeof init?.body === "string" ? JSON.parse(init.body) : {});
    await new Promise((done) => setTimeout(done, this.delay()));
    if (answer === null) throw new TypeError("Failed to fetch");
    return answer;
  };

  client(more: Partial<ConnectOptions> = {}): Client {
    return connect({
      url: "http://server",
      token: token("2"),
      transport: this.transport,
      fetch: this.fetch,
      storage: new Kept(),
      shareSocket: false,
      pageSize: 5,
      random: () => 0.5,
      ...more,
    });
  }

  send(): Row {
    const number = this.rows.length + 1;
    const row = { number, isRead: false, isRemoved: false, createdAt: new Date(Date.UTC(2026, 0, 1, 0, 0, number)).toISOString() };
    this.rows.push(row);
    for (const link of this.links) this.#tell(link, row, false);
    return row;
  }

  mark(number: number | null, standing: Standing): boolean {
    if (number === null) {
      for (const row of this.rows) row.isRead = true;
    } else {
      const row = this.rows.find((one) => one.number === number && !one.isRemoved);
      if (row === undefined) return false;
      if (standing === "removed") row.isRemoved = true;
      else row.isRead = standing === "read";
    }
    for (const { ears } of this.links) ears.stands(number === null ? null : uuid(number), standing);
    return true;
  }

  cut(): void {
    for (const link of [...this.links]) {
      this.links.delete(link);
      link.ears.closed({ reason: "lost", detail: "cut" });
    }
  }

  get inbox(): { id: string; isRead: boolean }[] {
    return this.#shown().map(({ number, isRead }) => ({ id: uuid(number), isRead }));
  }

  get unread(): number {
    return this.#shown().filter(({ isRead }) => !isRead).length;
  }

  #shown(): Row[] {
    return this.rows.filter(({ isRemoved }) => !isRemoved).reverse();
  }

  #tell({ ears }: { ears: Ears }, row: Row, missed: boolean): void {
    ears.notification(this.#notification(row), missed);
    ears.reached(uuid(row.number));
  }

  #notification({ number, createdAt }: Row): Notification {
    return {
      id: uuid(number), number, type: "note", title: `N${number}`, message: "", data: {}, topic: null,
      priority: "normal", actionUrl: null, createdAt, expiresAt: null, isRead: false,
    };
  }

  #answer(method: string, url: URL, body: { is_read?: boolean }): Response {
    const path = url.pathname.replace("/api/v1/notifications", "");
    if (method === "GET") {
      const unreadOnly = url.searchParams.get("unread_only") === "true";
      const before = Number(url.searchParams.get("cursor") ?? Number.POSITIVE_INFINITY);
      const limit = Number(url.searchParams.get("limit") ?? 20);
      const all = this.#shown().filter(({ isRead }) => !unreadOnly || !isRead);
      const rest = all.filter(({ number }) => number < before);
      const page = rest.slice(0, limit);
      return Response.json({
        notifications: page.map(({ number, isRead, createdAt }) => ({
          id: number, uuid: uuid(number), type: "note", title: `N${number}`, is_read: isRead, created_at: createdAt, data: {},
        })),
        total_count: all.length,
        unread_count: this.unread,
        has_more: rest.length > limit,
        next_cursor: rest.length > limit ? page.at(-1)?.number : null,
      });
    }
    if (path === "/read-all") {
      this.mark(null, "read");
      return Response.json({ marked_count: 0 });
    }
    const number = this.rows.find((row) => path === `/${uuid(row.number)}`)?.number ?? -1;
    const taken = this.mark(number, method === "DELETE" ? "removed" : body.is_read === false ? "unread" : "read");
    return taken ? Response.json({}) : Response.json({ code: "not_found" }, { status: 404 });
  }
}
