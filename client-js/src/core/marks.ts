import type { Api } from "./api.js";
import { Backoff } from "./backoff.js";
import { type Ledger, type Mark, STANDING } from "./ledger.js";
import type { Memory } from "./memory.js";
import { Problem } from "./problem.js";
import type { Standing } from "./transport.js";
import { fields, text, textOrNull } from "./wire.js";

const KINDS: readonly Mark["kind"][] = ["read", "unread", "remove", "readAll"];

/** What tabs tell each other of marks. A mark's end is told by the tab that sent it; a null `problem`: the server took it. */
export type MarkTold =
  | { readonly kind: "marked"; readonly mark: Mark }
  | { readonly kind: "settled"; readonly key: string; readonly problem: Pick<Problem, "code" | "message" | "status"> | null };

/** The end of a mark. */
export interface Settled {
  readonly mark: Mark;
  /** Why the server would not have it; null if it has. */
  readonly problem: Problem | null;
  /** What is shown is what the server has now. */
  readonly isKnown: boolean;
  /** The person did it here, or in a tab that is gone. */
  readonly isOwn: boolean;
  /** How it stands, if that is another than before. */
  readonly news: Standing | null;
}

/** What the queue of marks needs from outside. */
export interface MarksNeeds {
  readonly api: Api;
  readonly ledger: Ledger;
  readonly random: () => number;
  /** What is shown is different now. */
  readonly changed: () => void;
  readonly tell: (told: MarkTold) => void;
  readonly settled: (settled: Settled) => void;
}

/**
 * What the person did, in whatever tab, on its way to the server: in order, one after another, kept over reloads until the
 * server has taken or refused it. Every tab shows it; the one that has the socket sends it. Each may be sent twice; that changes
 * nothing.
 */
export class Marks {
  readonly #backoff: Backoff;
  readonly #waiting = new Map<string, (wasTaken: boolean) => void>();
  #memory: Memory | null = null;
  /** Keys of what people did in other tabs. */
  readonly #others = new Set<string>();
  #sends: "none" | "own" | "all" = "none";
  #isSending = false;
  #isOver = false;
  #count = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly needs: MarksNeeds) {
    this.#backoff = new Backoff(needs.random);
  }

  /** From now on marks outlive the page; those of an earlier page are there, too. */
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

  /** This tab sends from now on: all there is, or what was done here. */
  lead(sends: "own" | "all"): void {
    if (this.#sends === sends) return;
    this.#sends = sends;
    // What is not kept any more was settled by somebody who is gone.
    for (const key of this.#memory?.isKept && sends === "all" ? [...this.#others] : []) {
      if (this.#memory?.get(`mark:${key}`) === null) {
        this.#others.delete(key);
        this.needs.ledger.undone(key);
      }
    }
    this.needs.changed();
    this.flush();
  }

  /** Tells other tabs what was done here and is not settled: to be called when there are some, and when one is new. */
  retell(): void {
    for (const mark of this.needs.ledger.marks) if (this.#waiting.has(mark.key)) this.needs.tell({ kind: "marked", mark });
  }

  /** Something was done in another tab. */
  heard(mark: Mark): void {
    if (this.needs.ledger.marks.some(({ key }) => key === mark.key)) return;
    this.#others.add(mark.key);
    this.needs.ledger.marked(mark);
    this.needs.changed();
    this.flush();
  }

  /** Another tab sent it. */
  settledElsewhere({ key, problem }: MarkTold & { readonly kind: "settled" }): void {
    const mark = this.needs.ledger.marks.find((one) => one.key === key);
    if (mark === undefined) return;
    // Whoever sent one of an earlier page speaks for it.
    if (!this.#waiting.has(key)) this.#others.add(key);
    this.#settle(mark, problem && new Problem(problem.code, problem.message, { status: problem.status }));
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
    this.needs.tell({ kind: "marked", mark });
    this.flush();
    return settled;
  }

  /** Tries at once: the network is back, for instance. */
  flush(): void {
    clearTimeout(this.#timer);
    if (!this.#isSending && !this.#isOver && this.#sends !== "none") void this.#send();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    try {
      for (let mark = this.#next(); mark !== undefined && !this.#isOver; mark = this.#next()) {
        try {
          await this.#say(mark);
          this.#backoff.succeeded();
          this.#settle(mark, null);
          this.needs.tell({ kind: "settled", key: mark.key, problem: null });
        } catch (fault) {
          const problem = fault instanceof Problem ? fault : new Problem("fault", String(fault), { status: 400 });
          if (problem.passes) {
            const wait = Math.max(problem.retryAfterMs ?? 0, this.#backoff.next());
            this.#timer = setTimeout(() => this.flush(), wait);
            return;
          }
          this.#settle(mark, problem);
          const { code, message, status } = problem;
          this.needs.tell({ kind: "settled", key: mark.key, problem: { code, message, status } });
        }
      }
    } finally {
      this.#isSending = false;
    }
  }

  #next(): Mark | undefined {
    const { marks } = this.needs.ledger;
    return this.#sends === "all" ? marks[0] : marks.find(({ key }) => this.#waiting.has(key));
  }

  #settle(mark: Mark, problem: Problem | null): void {
    const { ledger } = this.needs;
    const { key, kind, id } = mark;
    const isGone = problem?.status === 404 && id !== null;
    // What is not there any more needs no removing.
    const isTaken = problem === null || (isGone && kind === "remove");
    const standing = isGone ? "removed" : isTaken ? STANDING[kind] : null;
    const news = standing !== null && ledger.differs(id, standing) ? standing : null;
    const isKnown = isTaken && ledger.taken(key);
    if (!isTaken) ledger.undone(key);
    if (!isTaken && isGone) ledger.stands(id, "removed");
    this.#memory?.forget(`mark:${key}`);
    this.needs.changed();
    this.#waiting.get(key)?.(isTaken);
    this.#waiting.delete(key);
    this.needs.settled({ mark, problem: isTaken ? null : problem, isKnown, isOwn: !this.#others.delete(key), news });
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
