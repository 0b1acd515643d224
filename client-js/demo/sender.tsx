// The back end's side: one request with a receipt; free text, or a template with its variables.

import { Problem } from "carillon-client";
import { put, reason } from "carillon-client/locales";
import { type FormEvent, type ReactNode, useEffect, useState, useSyncExternalStore } from "react";
import { type Chosen, useLanguage } from "./language.ts";
import { Outbox, type Sent } from "./outbox.ts";
import { type Person, type Template, config, giveContacts, templates, timeZone } from "./server.ts";
import { type Draft, FreeText, FromTemplate, saidBy } from "./wording.tsx";

const CHANNELS = ["in_app", "email", "push", "sms"] as const;
const PRIORITIES = ["low", "normal", "high", "urgent"] as const;
const EVERYBODY = "everybody";

const outbox = new Outbox();

function useTemplates(): readonly Template[] {
  const [found, setFound] = useState<readonly Template[]>([]);
  useEffect(() => {
    let isHere = true;
    const look = (): void =>
      void templates().then(
        (all) => isHere && setFound(all),
        () => isHere && setTimeout(look, 2000),
      );
    look();
    return () => {
      isHere = false;
    };
  }, []);
  return found;
}

export interface SenderProps {
  readonly onSent: (sent: Sent) => void;
  readonly onChoose: (chosen: Chosen) => void;
}

export function Sender({ onSent, onChoose }: SenderProps): ReactNode {
  const { own, words } = useLanguage();
  const people = config().people;
  const known = useTemplates();
  const [to, setTo] = useState(String(people[0]?.id));
  const [draft, setDraft] = useState<Draft>({ kind: "text", type: "", title: "", message: "" });
  const [priority, setPriority] = useState<string>("normal");
  const [channels, setChannels] = useState<readonly string[]>(["in_app"]);
  const [example, setExample] = useState(0);

  // The first example, and the same one in another language: what a visitor has written stays.
  const [filled, setFilled] = useState("");
  const fill = (next: number) => {
    const [type, title, message] = own.examples[next % own.examples.length] ?? ["", "", ""];
    setExample(next);
    setFilled(`${title}\n${message}`);
    setDraft({ kind: "text", type, title, message });
  };
  const isUntouched = draft.kind === "text" && `${draft.title}\n${draft.message}` === (filled || "\n");
  useEffect(() => {
    if (isUntouched) fill(example);
  }, [words.tag]);

  const pick = (name: string) => {
    const template = known.find((one) => one.name === name);
    if (template === undefined) return fill(example);
    const locale = template.locales.includes(words.tag) ? words.tag : template.default_locale;
    setDraft({ kind: "template", template, locale, values: null });
    setPriority(template.priority);
    setChannels(template.channels);
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const person = people.find(({ id }) => String(id) === to) ?? null;
    const sending = outbox.send({
      path: person === null ? "/api/v1/notifications/broadcast" : "/api/v1/notifications",
      body: { ...(person !== null && { user_id: person.id }), ...saidBy(draft), priority, channels, time_zone: timeZone() },
      title: draft.kind === "text" ? draft.title : draft.template.description,
      to: person?.id ?? null,
    });
    if (isUntouched) fill(example + 1);
    const sent = await sending;
    onSent(sent);
    const first = person ?? people[0];
    if (sent.receipt !== null && first !== undefined) onChoose({ id: sent.receipt.uuid, person: first });
  };
  return (
    <section className="card sender" aria-labelledby="send-title">
      <header className="card-head">
        <div>
          <p className="role">{own.backEnd}</p>
          <h2 id="send-title">{own.send}</h2>
        </div>
        {draft.kind === "text" && (
          <button type="button" className="quiet" id="another" onClick={() => fill(example + 1)}>
            {own.another}
          </button>
        )}
      </header>
      <form id="send" onSubmit={(event) => void submit(event)}>
        <div className="pair">
          <label>
            {own.to}
            <select id="f-to" value={to} onChange={({ target }) => setTo(target.value)}>
              {people.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
              <option value={EVERYBODY}>{own.everybody}</option>
            </select>
          </label>
          <label>
            {own.what}
            <select id="f-what" value={draft.kind === "text" ? "" : draft.template.name} onChange={({ target }) => pick(target.value)}>
              <option value="">{own.freeText}</option>
              {known.map(({ name, description }) => (
                <option key={name} value={name} lang="en">
                  {description}
                </option>
              ))}
            </select>
          </label>
        </div>
        {draft.kind === "text" ? <FreeText draft={draft} onChange={setDraft} /> : <FromTemplate draft={draft} onChange={setDraft} />}
        <label>
          {own.priority}
          <select id="f-priority" value={priority} onChange={({ target }) => setPriority(target.value)}>
            {PRIORITIES.map((one) => (
              <option key={one} value={one}>
                {own.priorities[one]}
              </option>
            ))}
          </select>
        </label>
        <fieldset>
          <legend>{own.channels}</legend>
          {CHANNELS.map((one) => (
            <label key={one} className="check">
              <input
                type="checkbox"
                id={`f-${one}`}
                checked={channels.includes(one)}
                onChange={({ target }) => setChannels(CHANNELS.filter((other) => (other === one ? target.checked : channels.includes(other))))}
              />
              {own.channel[one]}
            </label>
          ))}
          {channels.some((one) => one === "email" || one === "sms") && <Contacts people={people} />}
        </fieldset>
        <button type="submit" className="primary" id="submit" disabled={channels.length === 0}>
          {own.send}
        </button>
      </form>
      <Answers people={people} />
    </section>
  );
}

function Contacts({ people }: { readonly people: readonly Person[] }): ReactNode {
  const { own } = useLanguage();
  const { words } = useLanguage();
  const [said, setSaid] = useState("");
  const give = () =>
    Promise.all(people.map(giveContacts)).then(
      () => setSaid(own.contactsGiven),
      (fault: unknown) => setSaid(fault instanceof Problem ? reason(words, fault) : String(fault)),
    );
  return (
    <div className="contacts">
      <button type="button" className="quiet" id="contacts" onClick={() => void give()}>
        {own.contacts}
      </button>
      <p className="hint" role="status">
        {said}
      </p>
    </div>
  );
}

function Answers({ people }: { readonly people: readonly Person[] }): ReactNode {
  const { own } = useLanguage();
  const all = useSyncExternalStore(outbox.subscribe, outbox.getSnapshot);
  return (
    <div className="answers">
      <h3 id="answers-title">{own.answers}</h3>
      {all.length === 0 && <p className="empty">{own.noAnswers}</p>}
      <ol id="answers" aria-labelledby="answers-title" aria-live="polite">
        {all.map((sent) => (
          <Answer key={sent.key} sent={sent} name={people.find(({ id }) => id === sent.to)?.name ?? ""} />
        ))}
      </ol>
    </div>
  );
}

function Answer({ sent: { title, to, receipt, problem, isLate, took }, name }: { readonly sent: Sent; readonly name: string }): ReactNode {
  const { own, words } = useLanguage();
  if (problem !== null) {
    const why = reason(words, problem);
    return (
      <li className="answer" data-outcome="refused">
        <b>{own.outcome.refused}</b>{" "}
        {problem.field !== null && <code>{problem.field}</code>} {why}
        {/* Whoever sends is a developer: the server says what it wants instead. */}
        {why !== problem.message && (
          <span className="detail" lang="en">
            {problem.message}
          </span>
        )}
      </li>
    );
  }
  if (receipt === null) {
    return (
      <li className="answer" data-outcome="waiting">
        <b>{title}</b> {isLate ? own.outcome.late : `${own.outcome.sending}…`}
      </li>
    );
  }
  const outcome = to === null ? "spread" : receipt.sent_at === null ? "stored" : "sent";
  return (
    <li className="answer" data-outcome={outcome} data-id={receipt.id}>
      <b>
        {title} <span className="facts">#{receipt.id} · {took < 10 ? took.toFixed(1) : Math.round(took)} ms</span>
      </b>{" "}
      {put(own.outcome[outcome], { name })}
    </li>
  );
}
