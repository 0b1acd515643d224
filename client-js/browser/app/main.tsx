// A page as somebody would make it of the package; tests say in `window.settings` who is there and how.

import { type Client, connect, socketIo, webSocket } from "carillon-client";
import { NotificationBell, NotificationPreferences, NotificationProvider, NotificationToasts, type Theme } from "carillon-client/react";
import { type Words, el, en, es } from "carillon-client/locales";
import * as pushes from "carillon-client/service-worker";
import "carillon-client/styles.css";
import "./page.css";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { io } from "socket.io-client";

export interface Settings {
  readonly url: string;
  readonly token: string;
  readonly transport: "socketIo" | "webSocket";
  readonly words: "en" | "el" | "es" | "marked";
  readonly theme: Theme;
  readonly shareSocket: boolean;
  readonly showPreferences: boolean;
  readonly namesTypes: boolean;
}

declare global {
  interface Window {
    settings: Settings;
    getToken?: () => Promise<string>;
    client: Client;
    told: string[];
    missed: string[];
    changed: string[];
    refused: string[];
    pushes: typeof pushes;
    pwned: boolean;
  }
}

const { url, token, transport, words, theme, shareSocket, showPreferences, namesTypes } = window.settings;
const client = connect({
  url,
  getToken: () => window.getToken?.() ?? token,
  transport: transport === "socketIo" ? socketIo(io) : webSocket(),
  shareSocket,
});
Object.assign(window, { client, told: [], missed: [], changed: [], refused: [], pushes });
client.on("changed", ({ id, standing }) => window.changed.push(`${id === null ? "all" : "one"} ${standing}`));
client.on("refused", ({ action, problem }) => window.refused.push(`${action} ${problem.code}`));
client.on("notification", ({ notification, missed }) => {
  window.told.push(notification.title);
  if (missed) window.missed.push(notification.title);
});

/** English in which each sentence shows where it is from. */
function marked(said: unknown): unknown {
  if (typeof said === "string") return `⟦${said}⟧`;
  return Object.fromEntries(Object.entries(said as object).map(([name, one]) => [name, name === "tag" ? one : marked(one)]));
}
const LANGUAGES = { en, el, es, marked: marked(en) as Words };
const TYPES = [
  { type: "order_status", label: "Orders" },
  { type: "newsletter", label: "Newsletter" },
];

function Page() {
  const [language, setLanguage] = useState(words);
  return (
    <NotificationProvider client={client} words={LANGUAGES[language]} theme={theme}>
      <nav aria-label="Main">
        <h1>Shop</h1>
        <label>
          Language{" "}
          <select value={language} onChange={({ target }) => setLanguage(target.value as Settings["words"])}>
            {Object.keys(LANGUAGES).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <NotificationBell preferences={namesTypes ? { types: TYPES } : {}} />
      </nav>
      <main>
        {showPreferences ? <NotificationPreferences {...(namesTypes && { types: TYPES })} /> : <p>Here would be what the page is about.</p>}
      </main>
      {/* Long enough to be looked at where much else goes on. */}
      <NotificationToasts duration={20_000} />
    </NotificationProvider>
  );
}

const root = document.getElementById("root");
if (root !== null) createRoot(root).render(<StrictMode><Page /></StrictMode>);
