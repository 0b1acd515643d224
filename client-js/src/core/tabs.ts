import type { Stop } from "./emitter.js";
import { fields, text } from "./wire.js";

/** How long the leader may take to answer before a tab takes a socket of its own. */
const PATIENCE_MS = 3000;

/**
 * Whose socket this tab has from now on: one that the others `shared` with it; its `own`, since whoever holds the lock says
 * nothing; its own, since it is `alone`: nothing can be shared.
 */
export type Leading = "alone" | "own" | "shared";

/** What tabs do for each other. */
export interface TabsNeeds<Message> {
  /** The same for all tabs of one person of one server; null: nothing is shared. */
  readonly name: string | null;
  /** This tab is to have the socket from now on. May be called once more, by a tab that has one already. */
  readonly lead: (how: Leading) => void;
  /** What another tab told. */
  readonly hear: (message: Message) => void;
  /** A tab that is new asks how things are. `leads`: this one has the socket. */
  readonly greet: (leads: boolean) => void;
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
      needs.lead("alone");
      return;
    }
    this.#channel = new BroadcastChannel(`carillon:${name}`);
    this.#channel.onmessage = ({ data }) => this.#message(fields(data));
    const { signal } = this.#over;
    locks
      .request(`carillon:${name}`, { signal }, () => {
        this.#leads = true;
        this.#calm();
        needs.lead("shared");
        return new Promise<void>((done) => signal.addEventListener("abort", () => done()));
      })
      .catch(() => {
        if (!signal.aborted) needs.lead("alone");
      });
    this.check();
  }

  /** Tells the other tabs. */
  tell(message: Message): void {
    if (!this.#over.signal.aborted) this.#channel?.postMessage({ kind: "told", message, leads: this.#leads });
  }

  /** Is there still somebody who has a socket? */
  check(): void {
    if (this.#leads || this.#channel === null || this.#over.signal.aborted) return;
    if (this.#patience !== undefined) return;
    this.#channel.postMessage({ kind: "who" });
    this.#patience = setTimeout(() => this.needs.lead("own"), PATIENCE_MS);
  }

  readonly close: Stop = () => {
    this.#calm();
    this.#over.abort();
    this.#channel?.close();
  };

  #calm(): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }

  #message({ kind, message, leads }: Readonly<Record<string, unknown>>): void {
    if (text(kind) === "who") {
      this.needs.greet(this.#leads);
      return;
    }
    if (leads === true) this.#calm();
    this.needs.hear(message as Message);
  }
}
