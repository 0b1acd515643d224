/** What outlives the page: the place where to go on, and marks that no server has taken yet. */
export interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
  key(index: number): string | null;
  readonly length: number;
}

/** The browser's own storage, if there is one that may be used. */
export function browserStorage(): Storage | null {
  try {
    return typeof localStorage === "undefined" ? null : localStorage;
  } catch {
    return null;
  }
}

/** A corner of the storage, for one person of one server. A full or forbidden storage remembers nothing, and harms nothing. */
export class Memory {
  readonly #prefix: string;

  constructor(
    private readonly storage: Storage | null,
    name: string,
  ) {
    this.#prefix = `carillon:${name}:`;
  }

  /** Whether anything is kept at all. */
  get isKept(): boolean {
    return this.storage !== null;
  }

  get(key: string): string | null {
    return this.#try(() => this.storage?.getItem(this.#prefix + key) ?? null, null);
  }

  set(key: string, value: string): void {
    this.#try(() => this.storage?.setItem(this.#prefix + key, value), undefined);
  }

  forget(key: string): void {
    this.#try(() => this.storage?.removeItem(this.#prefix + key), undefined);
  }

  /** Keys that begin with `start`, in their order. */
  keys(start: string): string[] {
    return this.#try(() => {
      const found: string[] = [];
      for (let index = 0; index < (this.storage?.length ?? 0); index += 1) {
        const key = this.storage?.key(index) ?? "";
        if (key.startsWith(this.#prefix + start)) found.push(key.slice(this.#prefix.length));
      }
      return found.sort();
    }, []);
  }

  #try<Value>(work: () => Value, otherwise: Value): Value {
    try {
      return work();
    } catch {
      return otherwise;
    }
  }
}
