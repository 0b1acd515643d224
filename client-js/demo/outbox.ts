// What was sent from here, and what the server said to it. What got no answer is sent again, under the same key: it is
// stored once.

import { Problem } from "carillon-client";
import { ask } from "./server.ts";

export interface Receipt {
  readonly id: number;
  readonly uuid: string;
  readonly sent_at: string | null;
  readonly created_at: string;
  readonly total_users?: number;
}

export interface Sent {
  readonly key: string;
  readonly path: string;
  readonly body: object;
  readonly title: string;
  /** For whom; null is everybody. */
  readonly to: number | null;
  readonly receipt: Receipt | null;
  readonly problem: Problem | null;
  /** Whether a try has failed, and another one follows. */
  readonly isLate: boolean;
  /** How long the answer took, in milliseconds. */
  readonly took: number;
}

const KEPT = 5;
const AGAIN_MS = 1000;

export class Outbox {
  #all: readonly Sent[] = [];
  readonly #listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getSnapshot = (): readonly Sent[] => this.#all;

  /** Resolves once the server has taken it, or refused it. */
  async send(given: Pick<Sent, "path" | "body" | "title" | "to">): Promise<Sent> {
    let sent: Sent = { ...given, key: crypto.randomUUID(), receipt: null, problem: null, isLate: false, took: 0 };
    this.#all = [sent, ...this.#all].slice(0, KEPT);
    const change = (more: Partial<Sent>) => {
      sent = { ...sent, ...more };
      this.#all = this.#all.map((one) => (one.key === sent.key ? sent : one));
      for (const listener of this.#listeners) listener();
    };
    change({});
    for (;;) {
      const began = performance.now();
      try {
        const receipt = await ask<Receipt>("POST", sent.path, sent.body, sent.key);
        change({ receipt, took: performance.now() - began });
        return sent;
      } catch (fault) {
        const problem = fault instanceof Problem ? fault : new Problem("fault", String(fault));
        if (!problem.passes) {
          change({ problem });
          return sent;
        }
        change({ isLate: true });
        await new Promise((done) => setTimeout(done, AGAIN_MS));
      }
    }
  }
}
