// Requests to the server, one method each. Names on the wire stand here and in `wire.ts`.

import type { Filter, Notification } from "./notification.js";
import type { Digest, KnownType, Preferences, PreferencesChange } from "./preferences.js";
import { digestFrom, digestToWire, knownTypesFrom, preferencesFrom, preferencesToWire } from "./preferences.js";
import { Problem, problemOf } from "./problem.js";
import type { Tokens } from "./tokens.js";
import { fields, fromRest, text, texts, whole } from "./wire.js";

const TIMEOUT_MS = 20_000;
const INBOX = "/api/v1/notifications";
const DIGEST = "/api/v1/digest/subscription";

/** One page of a list, newest first. */
export interface ListPage {
  readonly notifications: readonly Notification[];
  readonly total: number;
  readonly unread: number;
  /** Where the next page begins; null behind the last. */
  readonly next: number | null;
}

/** What came in the last days. */
export interface Stats {
  readonly days: number;
  readonly total: number;
  readonly unread: number;
  readonly read: number;
  readonly byType: Readonly<Record<string, number>>;
  readonly byPriority: Readonly<Record<string, number>>;
  readonly byDay: readonly { readonly date: string; readonly total: number; readonly unread: number; readonly read: number }[];
}

export class Api {
  constructor(
    private readonly url: string,
    private readonly tokens: Tokens,
    private readonly fetcher: typeof fetch = (...given) => fetch(...given),
  ) {}

  /** Any request: JSON in, JSON out, with the token. Throws `Problem`. */
  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const token = await this.#token();
    try {
      return await this.#ask(method, path, body, token);
    } catch (fault) {
      if (!(fault instanceof Problem) || fault.status !== 401) throw fault;
      const newer = await this.#renewed(token);
      if (newer === token) throw fault;
      return this.#ask(method, path, body, newer);
    }
  }

  async list(filter: Filter & { readonly limit?: number; readonly before?: number } = {}): Promise<ListPage> {
    const query = new URLSearchParams();
    if (filter.limit !== undefined) query.set("limit", String(filter.limit));
    if (filter.before !== undefined) query.set("cursor", String(filter.before));
    if (filter.unreadOnly) query.set("unread_only", "true");
    if (filter.type !== undefined) query.set("type", filter.type);
    if (filter.topic !== undefined) query.set("topic", filter.topic);
    if (filter.priority !== undefined) query.set("priority", filter.priority);
    const page = fields(await this.request("GET", `${INBOX}?${query}`));
    const found = Array.isArray(page.notifications) ? page.notifications.map(fromRest) : [];
    return {
      notifications: found.filter((one): one is Notification => one !== null),
      total: whole(page.total_count) ?? 0,
      unread: whole(page.unread_count) ?? 0,
      next: page.has_more === true ? whole(page.next_cursor) : null,
    };
  }

  /** One notification; null if the caller has none of that name. */
  async get(id: string | number): Promise<Notification | null> {
    try {
      return fromRest(await this.request("GET", one(id)));
    } catch (fault) {
      if (fault instanceof Problem && fault.status === 404) return null;
      throw fault;
    }
  }

  async unreadCount(): Promise<number> {
    return whole(fields(await this.request("GET", `${INBOX}/unread-count`)).unread_count) ?? 0;
  }

  async setRead(id: string | number, isRead: boolean): Promise<void> {
    await this.request("PUT", one(id), { is_read: isRead });
  }

  async readAll(): Promise<number> {
    return whole(fields(await this.request("POST", `${INBOX}/read-all`)).marked_count) ?? 0;
  }

  async remove(id: string | number): Promise<void> {
    await this.request("DELETE", one(id));
  }

  async stats(days = 30): Promise<Stats> {
    const said = fields(await this.request("GET", `${INBOX}/stats?days=${days}`));
    const counts = (value: unknown) =>
      Object.fromEntries(Object.entries(fields(value)).map(([name, count]) => [name, whole(count) ?? 0]));
    return {
      days: whole(said.days) ?? days,
      total: whole(said.total) ?? 0,
      unread: whole(said.unread) ?? 0,
      read: whole(said.read) ?? 0,
      byType: counts(said.by_type),
      byPriority: counts(said.by_priority),
      byDay: (Array.isArray(said.by_day) ? said.by_day : []).map(fields).map((day) => ({
        date: text(day.date),
        total: whole(day.total) ?? 0,
        unread: whole(day.unread) ?? 0,
        read: whole(day.read) ?? 0,
      })),
    };
  }

  /** What the person hears of beside what is sent to them by name. */
  async topics(): Promise<string[]> {
    return texts(fields(await this.request("GET", "/api/v1/subscriptions")).topics);
  }

  /** Durable, for the person on all their devices. Answers with all topics there are then. */
  async subscribe(...topics: string[]): Promise<string[]> {
    return texts(fields(await this.request("POST", "/api/v1/subscriptions", { topics })).topics);
  }

  async unsubscribe(topic: string): Promise<string[]> {
    return texts(fields(await this.request("DELETE", `/api/v1/subscriptions?topic=${encodeURIComponent(topic)}`)).topics);
  }

  async preferences(): Promise<Preferences> {
    return preferencesFrom(await this.request("GET", `${INBOX}/preferences`));
  }

  /** What is named changes, the rest stays. */
  async setPreferences(change: PreferencesChange): Promise<Preferences> {
    return preferencesFrom(await this.request("PUT", `${INBOX}/preferences`, preferencesToWire(change)));
  }

  /** What a page of preferences may offer, by name. */
  async types(): Promise<KnownType[]> {
    return knownTypesFrom(await this.request("GET", `${INBOX}/types`));
  }

  /** The digest the person has ordered; null if there is none. Throws `no_such_route` where the server makes no digests. */
  async digest(): Promise<Digest | null> {
    try {
      return digestFrom(await this.request("GET", DIGEST));
    } catch (fault) {
      if (fault instanceof Problem && fault.status === 404 && fault.code !== "no_such_route") return null;
      throw fault;
    }
  }

  async setDigest(digest: Digest): Promise<Digest> {
    return digestFrom(await this.request("PUT", DIGEST, digestToWire(digest)));
  }

  async removeDigest(): Promise<void> {
    await this.request("DELETE", DIGEST);
  }

  async #token(): Promise<string> {
    try {
      return await this.tokens.current();
    } catch (fault) {
      throw noToken(fault);
    }
  }

  async #renewed(old: string): Promise<string> {
    try {
      return await this.tokens.renew(old);
    } catch (fault) {
      throw noToken(fault);
    }
  }

  async #ask(method: string, path: string, body: unknown, token: string): Promise<unknown> {
    let answer: Response;
    let said: string;
    try {
      answer = await this.fetcher(this.url + path, {
        method,
        headers: { Authorization: `Bearer ${token}`, ...(body !== undefined && { "Content-Type": "application/json" }) },
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      said = await answer.text();
    } catch (fault) {
      throw new Problem("unreachable", `No answer came from ${this.url}: ${fault instanceof Error ? fault.message : "unknown"}`);
    }
    let parsed: unknown = null;
    try {
      parsed = said === "" ? null : JSON.parse(said);
    } catch {
      if (answer.ok) throw new Problem("not_json", "The answer is no JSON: is this the server's address?", { status: 502 });
    }
    if (!answer.ok) throw problemOf(answer.status, parsed, answer.headers.get("Retry-After"));
    return parsed;
  }
}

const one = (id: string | number): string => `${INBOX}/${encodeURIComponent(String(id))}`;

const noToken = (fault: unknown): Problem =>
  new Problem("token_missing", `getToken gave none: ${fault instanceof Error ? fault.message : "unknown"}`, { status: 401 });
