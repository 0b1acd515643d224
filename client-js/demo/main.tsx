// The demo page: a back end and two people, side by side, and nothing between them but the server.

import "carillon-client/styles.css";
import "./demo.css";
import { type ReactNode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Code } from "./code.tsx";
import { type Chosen, Language, useLanguage } from "./language.ts";
import { type PersonProps, PersonSide, type State } from "./person.tsx";
import { Sender } from "./sender.tsx";
import { config } from "./server.ts";
import { TimelineCard } from "./timeline.tsx";
import { WireLog } from "./wirelog.tsx";
import { ENGLISH, LANGUAGES } from "./words.ts";

const STEPS = ["send", "store", "return", "read", "restart"] as const;
type StepName = (typeof STEPS)[number];

const kept = (name: string): string => localStorage.getItem(`carillon-demo-${name}`) ?? "";
const keep = (name: string, value: string): void => localStorage.setItem(`carillon-demo-${name}`, value);
const spoken = (): string => [kept("language"), ...navigator.languages.map((tag) => tag.slice(0, 2))].find((tag) => tag in LANGUAGES) ?? "en";

function Page(): ReactNode {
  const [tag, setTag] = useState(spoken);
  const [look, setLook] = useState(kept("look") || "system");
  useEffect(() => {
    document.documentElement.lang = tag;
    keep("language", tag);
  }, [tag]);
  useEffect(() => {
    if (look === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = look;
    keep("look", look);
  }, [look]);
  return (
    <Language.Provider value={LANGUAGES[tag] ?? ENGLISH}>
      <Demo tag={tag} onTag={setTag} look={look} onLook={setLook} />
    </Language.Provider>
  );
}

interface DemoProps {
  readonly tag: string;
  readonly onTag: (tag: string) => void;
  readonly look: string;
  readonly onLook: (look: string) => void;
}

function Demo(props: DemoProps): ReactNode {
  const { own } = useLanguage();
  const { people } = config();
  const [done, setDone] = useState<ReadonlySet<StepName>>(new Set());
  const [states, setStates] = useState<ReadonlyMap<number, State>>(new Map());
  const [unread, setUnread] = useState<ReadonlyMap<number, number>>(new Map());
  const [chosen, choose] = useState<Chosen | null>(null);
  const [events, setEvents] = useState(0);
  const finish = (step: StepName) => setDone((now) => (now.has(step) ? now : new Set([...now, step])));
  const hear: PersonProps["onTold"] = (person, told) => {
    if (told.kind === "unread") return setUnread((now) => new Map(now).set(person.id, told.count));
    if (told.kind === "is") {
      if (told.state === "open" && states.get(person.id) === "lost") finish("restart");
      return setStates((now) => new Map(now).set(person.id, told.state));
    }
    setEvents((count) => count + 1);
    if (told.kind === "came") finish(told.missed ? "return" : "send");
    else if (told.isRead) finish("read");
  };
  const total = [...unread.values()].reduce((sum, count) => sum + count, 0);
  useEffect(() => {
    document.title = total > 0 ? `(${total}) Carillon demo` : "Carillon demo";
  }, [total]);
  return (
    <>
      <a className="skip" href="#send">
        {own.skip}
      </a>
      <Top {...props} states={states} unread={unread} />
      <main>
        <section className="intro" aria-labelledby="title">
          <h1 id="title">{own.title}</h1>
          <p className="lead">{own.lead}</p>
          <Tour done={done} />
        </section>
        <div className="stage">
          <Sender
            onSent={({ to, receipt }) => {
              if (to !== null && receipt?.sent_at === null && states.get(to) === "away") finish("store");
            }}
            onChoose={choose}
          />
          {people.map((person) => (
            <PersonSide key={person.id} person={person} chosen={chosen} onChoose={choose} onTold={hear} />
          ))}
        </div>
        <div className="below">
          <TimelineCard chosen={chosen} events={events} />
          <WireLog />
        </div>
        <Code />
      </main>
      <footer className="foot">
        <p>
          {own.lookInside} <a href="/docs/">/docs</a> <a href="/health">/health</a> <a href="/stats">/stats</a> <a href="/metrics">/metrics</a> <a href="/dashboard">/dashboard</a>
        </p>
        <p>
          {own.onlyHere} <a href="/demo/licenses.txt">{own.licences}</a>
        </p>
      </footer>
    </>
  );
}

function Tour({ done }: { readonly done: ReadonlySet<StepName> }): ReactNode {
  const { own } = useLanguage();
  const next = STEPS.find((step) => !done.has(step));
  return (
    <ol className="steps" id="steps" aria-label={own.tour}>
      {STEPS.map((step, index) => (
        <li key={step} data-step={step} data-state={done.has(step) ? "done" : step === next ? "next" : "later"}>
          <span className="step-mark" aria-hidden="true">
            {done.has(step) ? "✓" : index + 1}
          </span>
          <span>
            <b>{own.steps[index]?.[0]}</b> <span className="step-why">{own.steps[index]?.[1]}</span>
            {done.has(step) && <span className="sr"> ({own.done})</span>}
          </span>
        </li>
      ))}
    </ol>
  );
}

interface TopProps extends DemoProps {
  readonly states: ReadonlyMap<number, State>;
  readonly unread: ReadonlyMap<number, number>;
}

function Top({ tag, onTag, look, onLook, states, unread }: TopProps): ReactNode {
  const { own } = useLanguage();
  const all = [...states.values()];
  const server = all.includes("open") ? "open" : all.every((state) => state === "away") ? "idle" : "lost";
  return (
    <header className="top">
      <p className="brand">
        <img src="/demo/favicon.svg" alt="" width="28" height="28" />
        <span className="brand-name">Carillon</span> <span className="version">{config().version}</span>
      </p>
      <p className="pill" id="server" data-state={server} role="status">
        <span className="dot" aria-hidden="true" />
        {own.server[server]}
      </p>
      <nav className="minis" aria-label={own.inbox}>
        {config().people.map(({ id, name }) => (
          <a key={id} href={`#person-${id}`}>
            {name} <span className="mini-count">{unread.get(id) ?? 0}</span>
          </a>
        ))}
      </nav>
      <label className="choice">
        <span className="sr">{own.language}</span>
        <select id="language" value={tag} onChange={({ target }) => onTag(target.value)}>
          {Object.entries(LANGUAGES).map(([one, { name }]) => (
            <option key={one} value={one} lang={one}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label className="choice">
        <span className="sr">{own.look}</span>
        <select id="look" value={look} onChange={({ target }) => onLook(target.value)}>
          {(["system", "light", "dark"] as const).map((one) => (
            <option key={one} value={one}>
              {own.looks[one]}
            </option>
          ))}
        </select>
      </label>
    </header>
  );
}

const root = document.getElementById("root");
if (root !== null) createRoot(root).render(<Page />);
