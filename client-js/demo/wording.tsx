// What is to be said: written here, or by a template of its variables.

import { Problem } from "carillon-client";
import { reason } from "carillon-client/locales";
import { type ReactNode, useEffect, useState } from "react";
import { useLanguage } from "./language.ts";
import { type Preview, type Template, preview } from "./server.ts";
import { example, meant } from "./variables.ts";
import { LANGUAGES } from "./words.ts";

export interface TextDraft {
  readonly kind: "text";
  readonly type: string;
  readonly title: string;
  readonly message: string;
}

export interface TemplateDraft {
  readonly kind: "template";
  readonly template: Template;
  readonly locale: string;
  /** By name, as written; null: the examples. */
  readonly values: Readonly<Record<string, string>> | null;
}

export type Draft = TextDraft | TemplateDraft;

const namesOf = ({ required, optional }: Template): readonly string[] => [...required, ...optional];

function valuesOf({ template, values }: TemplateDraft): Readonly<Record<string, string>> {
  return values ?? Object.fromEntries(namesOf(template).map((name) => [name, example(template.name, name)]));
}

/** Empty fields are values that are not there. */
function dataOf(draft: TemplateDraft): object {
  const written = Object.entries(valuesOf(draft)).filter(([, value]) => value.trim() !== "");
  return Object.fromEntries(written.map(([name, value]) => [name, meant(value)]));
}

/** The fields of the request that say what is said. */
export function saidBy(draft: Draft): object {
  if (draft.kind === "template") return { template: draft.template.name, locale: draft.locale, data: dataOf(draft) };
  const { type, title, message } = draft;
  return { type, title, ...(message !== "" && { message }) };
}

interface Props<Of extends Draft> {
  readonly draft: Of;
  readonly onChange: (draft: Of) => void;
}

export function FreeText({ draft, onChange }: Props<TextDraft>): ReactNode {
  const { own } = useLanguage();
  return (
    <>
      <label>
        {own.heading}
        <input id="f-title" required maxLength={300} autoComplete="off" value={draft.title} onChange={({ target }) => onChange({ ...draft, title: target.value })} />
      </label>
      <label>
        {own.message}
        <textarea id="f-message" rows={2} maxLength={5000} value={draft.message} onChange={({ target }) => onChange({ ...draft, message: target.value })} />
      </label>
      <label>
        {own.kind}
        <input id="f-type" required maxLength={100} list="types" autoComplete="off" value={draft.type} onChange={({ target }) => onChange({ ...draft, type: target.value })} />
      </label>
      <datalist id="types">
        {[...Object.keys(own.types), "security_alert"].map((type) => (
          <option key={type} value={type} />
        ))}
      </datalist>
    </>
  );
}

export function FromTemplate({ draft, onChange }: Props<TemplateDraft>): ReactNode {
  const { own } = useLanguage();
  const { template, locale } = draft;
  const values = valuesOf(draft);
  return (
    <>
      <label>
        {own.speaks}
        <select id="f-locale" value={locale} onChange={({ target }) => onChange({ ...draft, locale: target.value })}>
          {template.locales.map((one) => (
            <option key={one} value={one} lang={one}>
              {LANGUAGES[one]?.name ?? one}
            </option>
          ))}
        </select>
      </label>
      <div className="variables">
        {namesOf(template).map((name) => (
          <label key={name}>
            <span>
              <code>{name}</code> {!template.required.includes(name) && <small>{own.optional}</small>}
            </span>
            <input
              name={name}
              required={template.required.includes(name)}
              autoComplete="off"
              value={values[name] ?? ""}
              onChange={({ target }) => onChange({ ...draft, values: { ...values, [name]: target.value } })}
            />
          </label>
        ))}
      </div>
      <Says draft={draft} />
    </>
  );
}

const PAUSE_MS = 250;

/** What the server would make of it. */
function Says({ draft }: { readonly draft: TemplateDraft }): ReactNode {
  const { own, words } = useLanguage();
  const [said, setSaid] = useState<Preview | Problem | null>(null);
  const asked = JSON.stringify([draft.template.name, draft.locale, dataOf(draft)]);
  useEffect(() => {
    let isHere = true;
    const timer = setTimeout(() => {
      const [name, locale, data] = JSON.parse(asked) as [string, string, object];
      preview(name, locale, data).then(
        (found) => isHere && setSaid(found),
        (fault: unknown) => isHere && setSaid(fault instanceof Problem ? fault : new Problem("fault", String(fault))),
      );
    }, PAUSE_MS);
    return () => {
      isHere = false;
      clearTimeout(timer);
    };
  }, [asked]);
  return (
    <div className="says" id="says">
      <p className="role">{own.says}</p>
      {said instanceof Problem && <p>{reason(words, said)}</p>}
      {said !== null && !(said instanceof Problem) && (
        <div lang={said.locale}>
          <b>{said.title}</b>
          <p>{said.message}</p>
        </div>
      )}
    </div>
  );
}
