// Code to copy: three ways to listen, one to send.

import { type ReactNode, useRef, useState } from "react";
import { useLanguage } from "./language.ts";
import { config } from "./server.ts";

type Hide = (token: string) => string;
interface Snippet {
  readonly id: string;
  readonly label: string;
  readonly write: (hide: Hide) => string;
}

const origin = window.location.origin;
const token = (): string => config().people[0]?.token ?? "";

const SNIPPETS: readonly Snippet[] = [
  {
    id: "code-stock",
    label: "socket.io-client",
    write: (hide) => `import { io } from "socket.io-client";

const socket = io("${origin}", {
  auth: { token: "${hide(token())}" },
});
socket.on("notification", ({ id, title, message }) => {
  console.log(title, message);
  socket.emit("ack", { notificationId: id });
});
`,
  },
  {
    id: "code-client",
    label: "carillon-client",
    write: (hide) => `import { connect } from "carillon-client";

const client = connect({
  url: "${origin}",
  getToken: () => "${hide(token())}",
});
client.unreadCount.subscribe(() => {
  console.log(client.unreadCount.getSnapshot(), "unread");
});
`,
  },
  {
    id: "code-react",
    label: "React",
    write: (hide) => `import { NotificationBell, NotificationProvider, NotificationToasts } from "carillon-client/react";
import "carillon-client/styles.css";

const options = { url: "${origin}", token: "${hide(token())}" };

export const Bell = () => (
  <NotificationProvider options={options}>
    <NotificationBell />
    <NotificationToasts />
  </NotificationProvider>
);
`,
  },
  {
    id: "code-send",
    label: "curl",
    write: (hide) => `curl ${origin}/api/v1/notifications \\
  -H "Authorization: Bearer ${hide(config().backend_token)}" \\
  -H "Content-Type: application/json" \\
  -d '{"user_id": ${config().people[0]?.id ?? 2}, "type": "order_status",
       "title": "Order shipped", "message": "It is on its way."}'
`,
  },
];

const short: Hide = (secret) => (secret.length > 16 ? `${secret.slice(0, 12)}…` : secret);

export function Code(): ReactNode {
  const { own } = useLanguage();
  return (
    <section className="code" aria-labelledby="code-title">
      <h2 id="code-title">{own.code}</h2>
      <p className="lead">{own.codeLead}</p>
      <div className="snippets">
        {SNIPPETS.map((snippet) => (
          <Figure key={snippet.id} snippet={snippet} />
        ))}
      </div>
    </section>
  );
}

function Figure({ snippet: { id, label, write } }: { readonly snippet: Snippet }): ReactNode {
  const { own } = useLanguage();
  const shown = useRef<HTMLElement>(null);
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(write((secret) => secret));
      setCopied(true);
      setTimeout(() => setCopied(false), 1800);
    } catch {
      // No clipboard here: ready for the keyboard.
      if (shown.current !== null) window.getSelection()?.selectAllChildren(shown.current);
    }
  };
  return (
    <figure>
      <figcaption>
        <b>{label}</b>
        <button type="button" className="quiet" onClick={() => void copy()}>
          {isCopied ? own.copied : own.copy}
          <span className="sr">: {label}</span>
        </button>
      </figcaption>
      <pre tabIndex={0} aria-label={label} role="region">
        <code id={id} ref={shown}>
          {write(short)}
        </code>
      </pre>
    </figure>
  );
}
