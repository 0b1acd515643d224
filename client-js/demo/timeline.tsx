// What became of one notification, for one person: read anew when something happens, and now and then.

import { Problem } from "carillon-client";
import { put, reason } from "carillon-client/locales";
import { type ReactNode, useEffect, useState } from "react";
import { type Chosen, clock, useLanguage } from "./language.ts";
import { translated } from "./reasons.ts";
import { type Step, type Timeline, timeline } from "./server.ts";

/** Providers answer without a word to this page. */
const NOW_AND_THEN_MS = 3000;
/** What an event tells is told before it is known everywhere. */
const AFTER_EVENTS_MS = [50, 700];

interface Read {
  readonly of: Chosen;
  readonly timeline: Timeline | null;
  readonly problem: Problem | null;
}

function useTimeline(chosen: Chosen | null, events: number): Read | null {
  const [read, setRead] = useState<Read | null>(null);
  useEffect(() => {
    if (chosen === null) return;
    let isHere = true;
    const look = () => {
      if (document.hidden) return;
      timeline(chosen.id, chosen.person.id).then(
        (found) => isHere && setRead({ of: chosen, timeline: found, problem: null }),
        (fault: unknown) => isHere && fault instanceof Problem && setRead((now) => ({ of: chosen, timeline: now?.of === chosen ? now.timeline : null, problem: fault })),
      );
    };
    look();
    const soon = AFTER_EVENTS_MS.map((ms) => setTimeout(look, ms));
    const often = setInterval(look, NOW_AND_THEN_MS);
    return () => {
      isHere = false;
      soon.forEach(clearTimeout);
      clearInterval(often);
    };
  }, [chosen, events]);
  return read?.of === chosen ? read : null;
}

export function TimelineCard({ chosen, events }: { readonly chosen: Chosen | null; readonly events: number }): ReactNode {
  const { own, words } = useLanguage();
  const read = useTimeline(chosen, events);
  return (
    <section className="card timeline" id="timeline" aria-labelledby="timeline-title">
      <header className="card-head">
        <h2 id="timeline-title">{own.timeline}</h2>
        {chosen !== null && read?.timeline != null && (
          <p className="hint">{put(own.timelineOf, { id: read.timeline.id, name: chosen.person.name })}</p>
        )}
      </header>
      {chosen === null && <p className="empty">{own.noTimeline}</p>}
      {read?.problem != null && (
        <p className="empty" role="alert">
          {reason(words, read.problem)}
        </p>
      )}
      {read?.timeline != null && (
        <ol className="way">
          {read.timeline.steps.map((step, index) => (
            <OneStep key={`${index} ${step.step}`} step={step} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Reason({ said }: { readonly said: string }): ReactNode {
  const { words } = useLanguage();
  const own = translated(words.tag, said);
  return (
    <span className="reason" {...(own === null && { lang: "en" })}>
      {own ?? said}
    </span>
  );
}

function OneStep({ step: { step, channel, at, happened, reason } }: { readonly step: Step }): ReactNode {
  const { own } = useLanguage();
  const state = happened === null ? "unknown" : happened ? "yes" : "no";
  const by = channel === null ? null : (own.channel[channel as keyof typeof own.channel] ?? channel);
  return (
    <li data-happened={state} data-step={step}>
      <span className="mark" aria-hidden="true">
        {{ yes: "✓", no: "–", unknown: "?" }[state]}
      </span>
      <span className="sr">{own.happened[state]}: </span>
      <b>
        {own.step[step] ?? step}
        {by !== null && <span className="by"> · {by}</span>}
      </b>
      {at !== null && (
        <time dateTime={at}>{clock(Date.parse(at))}</time>
      )}
      <Reason said={reason} />
    </li>
  );
}
