import { createContext, useContext, useMemo, useSyncExternalStore } from "react";
import type { Client, Store } from "../index.js";
import { en } from "../locales/en.js";
import type { Words } from "../locales/words.js";

/** What `NotificationProvider` hands down. */
export interface Given {
  /** Null while a page is rendered on a server, and until the first effect in a browser. */
  readonly client: Client | null;
  readonly words: Words;
  readonly theme: Theme;
}

/** Whether all is light or dark; `auto`: as the page is, by its `color-scheme`. */
export type Theme = "auto" | "light" | "dark";

export const Here = createContext<Given>({ client: null, words: en, theme: "auto" });

/** The client of the nearest `NotificationProvider`; null while a page is rendered on a server. */
export function useClient(): Client | null {
  return useContext(Here).client;
}

/** The words of the nearest `NotificationProvider`. */
export function useWords(): Words {
  return useContext(Here).words;
}

/** For the outermost element of each component. */
export function useTheme(): { readonly "data-theme"?: "light" | "dark" } {
  const { theme } = useContext(Here);
  return theme === "auto" ? {} : { "data-theme": theme };
}

/** A store of the client, and what counts while there is none. `choose` must not change from one call to the next. */
export function useStore<Value>(choose: (client: Client) => Store<Value>, otherwise: Value): Value {
  const client = useClient();
  const store = useMemo<Store<Value>>(
    () => (client === null ? { subscribe: () => () => {}, getSnapshot: () => otherwise } : choose(client)),
    [client, choose, otherwise],
  );
  return useSyncExternalStore(store.subscribe, store.getSnapshot, () => otherwise);
}
