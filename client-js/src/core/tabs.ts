import type { Stop } from "./emitter.js";
import { fields, text } from "./wire.js";

/** How long the leader may take to answer before a tab takes a socket of its own. */
const PATIENCE_MS = 3000;

/** What tabs do for each other. */
export interface TabsNeeds<Message> {
  /** The same for all tabs of one person of one server; null: nothing is shared. */
  readonly name: string | null;
  /** This tab is to have the socket from now on. May be called once more, by a tab that has one already. */
  readonly lead: (how: "own" | "shared") => void;
  /** What another tab told. */
  readonly hear: (message: Message) => void;
  /** A tab that is new asks how things are. */
  readonly greet: () => void;
}

/** Tabs of one origin share one socket: whoever holds the lock has it, and tells the others. */
export class Tabs<Message> {
  readonly #channel: BroadcastChannel | null = null;
  readonly #over = new AbortController();
  #leads = false;
  #patience: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly needs: TabsNeeds<Message>) {
    const { name } = needs;
    const locks = typeof navigator === "undefined" ? undefined : navigator.locks;
    if (name === null || locks === undefined || typeof BroadcastChannel === "undefined") {
      needs.lead("own");
      return;
    }
    this.#channel = new BroadcastChannel(`carillon:${name}`);
    this.#channel.onmessage = ({ data }) => this.#message(fields(data));
    const { signal } = this.#over;
    locks
      .request(`carillon:${name}`, { signal }, () => {
        this.#leads = true;
        clearTimeout(this.#patience);
        needs.lead("shared");
        return new Promise<void>((done) => signal.addEventListener("abort", () => done()));
      })
      .catch(() => {
        if (!signal.aborted) needs.lead("own");
      });
    this.check();
  }

  /** Tells the other tabs. */
  tell(message: Message): void {
    if (!this.#over.signal.aborted) this.#channel?.postMessage({ kind: "told", message });
  }

  /** Is there still somebody who has a socket? */
  check(): void {
    if (this.#leads || this.#channel === null || this.#over.signal.aborted) return;
    this.#channel.postMessage({ kind: "who" });
    clearTimeout(this.#patience);
    this.#patience = setTimeout(() => this.needs.lead("own"), PATIENCE_MS);
  }

  readonly close: Stop = () => {
    clearTimeout(this.#patience);
    this.#over.abort();
    this.#channel?.close();
  };

  #message({ kind, message }: Readonly<Record<string, unknown>>): void {
    if (text(kind) === "who") {
      if (this.#leads) this.needs.greet();
      return;
    }
    clearTimeout(this.#patience);
    this.needs.hear(message as Message);
  }
}
