/** Takes back what it was returned for. */
export type Stop = () => void;

/** Typed events: who listens, and telling them. One listener's fault does not concern the others. */
export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();

  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): Stop {
    const all = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, all);
    all.add(listener);
    return () => void all.delete(listener);
  }

  emit<Name extends keyof Events>(name: Name, value: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        (listener as (value: Events[Name]) => void)(value);
      } catch (fault) {
        queueMicrotask(() => {
          throw fault;
        });
      }
    }
  }
}

/** A value that tells when it changes: the shape that `useSyncExternalStore` takes. */
export interface Store<Value> {
  readonly subscribe: (listener: () => void) => Stop;
  readonly getSnapshot: () => Value;
}

/** A `Store` that is set from outside. */
export class Cell<Value> implements Store<Value> {
  #value: Value;
  readonly #listeners = new Set<() => void>();

  constructor(value: Value) {
    this.#value = value;
  }

  readonly getSnapshot = (): Value => this.#value;

  readonly subscribe = (listener: () => void): Stop => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  set(value: Value): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }
}
