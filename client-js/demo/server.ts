// What this page asks the server for as a back end: it sends, and asks what became of it.

import { Problem } from "carillon-client";

/** One of the two whose bells stand here. */
export interface Person {
  readonly id: number;
  readonly name: string;
  readonly token: string;
}

/** What the server wrote into the page: tokens for two people, and the back end's. */
export interface Config {
  readonly people: readonly Person[];
  readonly backend_token: string;
  readonly version: string;
}

const read = (from: Document): Config => JSON.parse(from.getElementById("config")?.textContent ?? "") as Config;

let current = read(document);
let renewal: Promise<Config> | null = null;

export const config = (): Config => current;

/** Tokens end, and a server that was started anew may have new secrets: a fresh copy of this page has new ones. */
export function renewed(): Promise<Config> {
  renewal ??= fetch("/", { cache: "no-store" })
    .then((answer) => answer.text())
    .then((html) => {
      current = read(new DOMParser().parseFromString(html, "text/html"));
      return current;
    })
    .finally(() => {
      renewal = null;
    });
  return renewal;
}

export const tokenOf = (id: number): string => current.people.find((person) => person.id === id)?.token ?? "";

interface Refusal {
  readonly code?: string;
  readonly detail?: string;
  readonly field?: string;
}

async function once(method: string, path: string, body: unknown, key: string | undefined): Promise<Response> {
  return fetch(path, {
    method,
    headers: {
      Authorization: `Bearer ${current.backend_token}`,
      ...(body !== undefined && { "Content-Type": "application/json" }),
      ...(key !== undefined && { "Idempotency-Key": key }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
}

/** Asks as the back end. A refused token is renewed once. Throws `Problem`. */
export async function ask<Answer>(method: string, path: string, body?: unknown, key?: string): Promise<Answer> {
  let answer: Response;
  try {
    answer = await once(method, path, body, key);
    if (answer.status === 401) {
      await renewed();
      answer = await once(method, path, body, key);
    }
  } catch (fault) {
    throw new Problem("unreachable", fault instanceof Error ? fault.message : String(fault));
  }
  const said: unknown = await answer.json().catch(() => null);
  if (answer.ok) return said as Answer;
  const { code, detail, field } = (said ?? {}) as Refusal;
  throw new Problem(code ?? `http_${answer.status}`, detail ?? `The server answered ${answer.status}.`, {
    status: answer.status,
    ...(field !== undefined && { field }),
  });
}

export interface Template {
  readonly name: string;
  readonly description: string;
  readonly priority: string;
  readonly channels: readonly string[];
  readonly required: readonly string[];
  readonly optional: readonly string[];
  readonly default_locale: string;
  readonly locales: readonly string[];
}

export const templates = async (): Promise<readonly Template[]> =>
  (await ask<{ templates: readonly Template[] }>("GET", "/api/v1/templates")).templates;

export interface Preview {
  readonly locale: string;
  readonly title: string;
  readonly message: string;
}

export const preview = (name: string, locale: string, data: object): Promise<Preview> =>
  ask("POST", `/api/v1/templates/${encodeURIComponent(name)}/preview`, { locale, data, time_zone: timeZone() });

export interface Step {
  readonly step: string;
  readonly channel: string | null;
  readonly at: string | null;
  readonly happened: boolean | null;
  readonly reason: string;
}

export interface Timeline {
  readonly id: number;
  readonly type: string;
  readonly steps: readonly Step[];
}

export const timeline = (id: string, person: number): Promise<Timeline> =>
  ask("GET", `/api/v1/notifications/${encodeURIComponent(id)}/timeline?user_id=${person}`);

/** Somewhere to reach `person` by e-mail and by text message: addresses that nobody has. */
export const giveContacts = ({ id, name }: Person): Promise<unknown> =>
  ask("PUT", `/api/v1/recipients/${id}`, {
    email: `${name.normalize("NFD").replace(/[^a-z]/gi, "").toLowerCase()}@example.com`,
    phone: `+1202555${String(100 + id).padStart(4, "0")}`,
  });

export const timeZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;
