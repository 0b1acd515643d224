import type { Api } from "./api.js";
import { Backoff } from "./backoff.js";
import type { Ledger, Mark } from "./ledger.js";
import type { Memory } from "./memory.js";
import { Problem } from "./problem.js";
import { fields, text, textOrNull } from "./wire.js";

const KINDS: readonly Mark["kind"][] = ["read", "unread", "remove", "readAll"];

/** What the queue of marks needs from outside. */
export interface MarksNeeds {
  readonly api: Api;
  readonly ledger: Ledger;
  readonly random: () => number;
  /** What is shown is different now. */
  readonly changed: () => void;
  /** `isKnown`: what is shown is what the server has now. */
  readonly taken: (mark: Mark, isKnown: boolean) => void;
  readonly refused: (mark: Mark, problem: Problem) => void;
}

/**
 * What the person did, on its way to the server: in order, one after another, kept over reloads until the server has taken
 * or refused it. Each may be sent twice; that changes nothing.
 */
export class Marks {
  readonly #backoff: Backoff;
  readonly #waiting = new Map<string, (wasTaken: boolean) => void>();
  #memory: Memory | null = null;
  #isSending = false;
  #isOver = false;
  #count = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly needs: MarksNeeds) {
    this.#backoff = new Backoff(needs.random);
  }

  /** From now on marks outlive the page; those of an earlier page are sent. */
  remember(memory: Memory): void {
    const { ledger } = this.needs;
    this.#memory = memory;
    for (const mark of ledger.marks) this.#keep(mark);
    for (const key of memory.keys("mark:")) {
      const mark = markFrom(key.slice("mark:".length), memory.get(key));
      if (mark === null) memory.forget(key);
      else if (!ledger.marks.some((one) => one.key === mark.key)) ledger.marked(mark);
    }
    this.needs.changed();
    this.flush();
  }

  /** True once the server has taken it, false once it has refused it. While it cannot be reached, neither. */
  add(kind: Mark["kind"], id: string | null, upTo: string | null = null): Promise<boolean> {
    this.#count += 1;
    const order = `${String(Date.now()).padStart(15, "0")}-${String(this.#count).padStart(6, "0")}`;
    const mark: Mark = { key: `${order}-${Math.floor(this.needs.random() * 1e9)}`, kind, id, upTo };
    this.needs.ledger.marked(mark);
    this.#keep(mark);
    this.needs.changed();
    const settled = new Promise<boolean>((resolve) => this.#waiting.set(mark.key, resolve));
    this.flush();
    return settled;
  }

  /** Tries at once: the network is back, for instance. */
  flush(): void {
    clearTimeout(this.#timer);
    if (!this.#isSending && !this.#isOver) void this.#send();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    try {
      for (let mark = this.needs.ledger.marks[0]; mark !== undefined && !this.#isOver; mark = this.needs.ledger.marks[0]) {
        try {
          await this.#say(mark);
          this.#backoff.succeeded();
          this.#settle(mark, null);
        } catch (fault) {
          const problem = fault instanceof Problem ? fault : new Problem("fault", String(fault), { status: 400 });
          if (problem.passes) {
            const wait = Math.max(problem.retryAfterMs ?? 0, this.#backoff.next());
            this.#timer = setTimeout(() => this.flush(), wait);
            return;
          }
          this.#settle(mark, problem);
        }
      }
    } finally {
      this.#isSending = false;
    }
  }

  #settle(mark: Mark, problem: Problem | null): void {
    const { ledger } = this.needs;
    // What is not there any more needs no removing.
    const isTaken = problem === null || (problem.status === 404 && mark.kind === "remove");
    const isKnown = isTaken && ledger.taken(mark.key);
    if (!isTaken) ledger.undone(mark.key);
    this.#memory?.forget(`mark:${mark.key}`);
    this.#waiting.get(mark.key)?.(isTaken);
    this.#waiting.delete(mark.key);
    if (isTaken) this.needs.taken(mark, isKnown);
    else if (problem !== null) {
      if (problem.status === 404 && mark.id !== null) ledger.stands(mark.id, "removed");
      this.needs.refused(mark, problem);
    }
    this.needs.changed();
  }

  async #say({ kind, id }: Mark): Promise<void> {
    const { api } = this.needs;
    if (kind === "readAll") await api.readAll();
    else if (id === null) throw new Problem("fault", "a mark without a notification", { status: 400 });
    else if (kind === "remove") await api.remove(id);
    else await api.setRead(id, kind === "read");
  }

  #keep(mark: Mark): void {
    this.#memory?.set(`mark:${mark.key}`, JSON.stringify(mark));
  }
}

function markFrom(key: string, kept: string | null): Mark | null {
  try {
    const said = fields(JSON.parse(kept ?? ""));
    const kind = KINDS.find((one) => one === text(said.kind));
    return kind === undefined ? null : { key, kind, id: textOrNull(said.id), upTo: textOrNull(said.upTo) };
  } catch {
    return null;
  }
}
