import { type ReactNode, useEffect, useState } from "react";
import { useWords } from "./context.js";

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

/** `now`, `3 minutes ago`, in the language `tag`; the date after a week. */
export function ago(tag: string, then: number, now: number): string {
  const passed = Math.max(0, now - then);
  const [day] = STEPS;
  if (day !== undefined && passed >= 7 * day[1]) return new Intl.DateTimeFormat(tag, { dateStyle: "medium" }).format(then);
  const [unit, length] = STEPS.find(([, step]) => passed >= step) ?? (["second", passed + 1] as const);
  return new Intl.RelativeTimeFormat(tag, { numeric: "auto" }).format(-Math.floor(passed / length), unit);
}

/** When something came, in words that stay right. */
export function Ago({ at }: { readonly at: string }): ReactNode {
  const { tag } = useWords();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  const then = Date.parse(at);
  if (Number.isNaN(then)) return null;
  return (
    <time dateTime={at} title={new Intl.DateTimeFormat(tag, { dateStyle: "full", timeStyle: "short" }).format(then)}>
      {ago(tag, then, Math.max(now, then))}
    </time>
  );
}
