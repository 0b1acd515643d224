import { fields, whole } from "./wire.js";

/** Gives a token that is good now. `renew` says that the last one is not, or soon will not be. */
export type GetToken = (why: { readonly renew: boolean }) => string | Promise<string>;

/** What a token says about whom it is for. It is read, not checked: checking is the server's. */
export interface Claims {
  readonly subject: string | null;
  readonly tenant: string | null;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | null;
}

export function claims(token: string): Claims {
  let said = fields(null);
  try {
    const part = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    said = fields(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    // Not a JSON Web Token: nothing is known of it.
  }
  const name = (value: unknown) => (typeof value === "string" || typeof value === "number" ? String(value) : null);
  const seconds = whole(said.exp);
  return {
    subject: name(said.sub) ?? name(said.user_id),
    tenant: name(said.tenant_id),
    expiresAt: seconds === null ? null : seconds * 1000,
  };
}

/** The token in use. Whoever wants one while a new one is being got waits for that. */
export class Tokens {
  #current: Promise<string> | null = null;

  constructor(private readonly get: GetToken) {}

  current(): Promise<string> {
    return this.#current ?? this.#fetch(false);
  }

  /** A newer one than `old`: that is refused, or ends soon. */
  async renew(old: string): Promise<string> {
    const held = this.current();
    const known = await held.catch(() => old);
    if (known !== old) return known;
    return this.#current === held || this.#current === null ? this.#fetch(true) : this.#current;
  }

  #fetch(renew: boolean): Promise<string> {
    const fetched = Promise.resolve().then(() => this.get({ renew }));
    this.#current = fetched;
    fetched.catch(() => {
      if (this.#current === fetched) this.#current = null;
    });
    return fetched;
  }
}
