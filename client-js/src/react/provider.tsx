import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { type Client, type ConnectOptions, connect } from "../index.js";
import { en } from "../locales/en.js";
import type { Words } from "../locales/words.js";
import { Here, type Theme } from "./context.js";

export interface ProviderProps {
  /** What `connect` takes. It is read once: give the provider another `key` when somebody else signs in. */
  readonly options?: ConnectOptions;
  /** Instead of `options`: a client that you made, and will close. */
  readonly client?: Client;
  /** The language: English if nothing is said; others are in `carillon-client/locales`. */
  readonly words?: Words;
  /** Light or dark; if nothing is said, as the page is, by its `color-scheme`. */
  readonly theme?: Theme;
  readonly children?: ReactNode;
}

/** Connects one person for everything inside. On servers that render pages it connects nobody. */
export function NotificationProvider({ options, client: given, words = en, theme = "auto", children }: ProviderProps): ReactNode {
  const [made, setMade] = useState<Client | null>(null);
  const first = useRef(options);
  const isGiven = given !== undefined;
  useEffect(() => {
    if (isGiven || first.current === undefined) return;
    const client = connect(first.current);
    setMade(client);
    return () => {
      client.close();
      setMade(null);
    };
  }, [isGiven]);
  const client = given ?? made;
  const value = useMemo(() => ({ client, words, theme }), [client, words, theme]);
  return <Here.Provider value={value}>{children}</Here.Provider>;
}
