import { fields, text } from "./wire.js";

/** Why something was not done. Test `code`; `message` is for people. */
export class Problem extends Error {
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  /** A constant word of the server, such as `invalid_field`; `unreachable` when no answer came. */
  readonly code: string;
  /** The field at fault, if there is one. */
  readonly field: string | null;
  /** After how many milliseconds it may be tried again, if the server said so. */
  readonly retryAfterMs: number | null;

  constructor(code: string, message: string, more: { status?: number; field?: string; retryAfterMs?: number } = {}) {
    super(message);
    this.name = "Problem";
    this.code = code;
    this.status = more.status ?? 0;
    this.field = more.field ?? null;
    this.retryAfterMs = more.retryAfterMs ?? null;
  }

  /** Whether the same request may do later: nothing was wrong with it. */
  get passes(): boolean {
    return this.status === 0 || this.status === 401 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** What a refusal's body (RFC 9457) says. */
export function problemOf(status: number, body: unknown, retryAfter: string | null): Problem {
  const { code, detail, title, field } = fields(body);
  const seconds = Number(retryAfter ?? Number.NaN);
  return new Problem(text(code) || `http_${status}`, text(detail) || text(title) || `The server answered ${status}.`, {
    status,
    ...(text(field) !== "" && { field: text(field) }),
    ...(Number.isFinite(seconds) && { retryAfterMs: seconds * 1000 }),
  });
}
