import { type ReactNode, createContext, useCallback, useContext, useEffect, useRef, useState } from "react";
import { counted, put, reason } from "../locales/words.js";
import { useWords } from "./context.js";
import { useNotificationEvent } from "./hooks.js";

export type Say = (text: string) => void;

export const Saying = createContext<Say>(() => {});

/** Tells screen readers something, inside `NotificationList` and what it draws: what was done, for instance. */
export function useSay(): Say {
  return useContext(Saying);
}

/** A place from which screen readers are told things; the same twice is told twice. */
export function useRegion(): readonly [say: Say, region: ReactNode] {
  const [said, setSaid] = useState({ key: 0, text: "" });
  const say = useCallback((text: string) => setSaid(({ key }) => ({ key: key + 1, text })), []);
  return [
    say,
    <span className="carillon-hidden" role="status">
      <span key={said.key}>{said.text}</span>
    </span>,
  ];
}

/** What comes together is told together. */
const GATHER_MS = 500;

/** Tells screen readers what comes, and what the server would not do. */
export function News(): ReactNode {
  const words = useWords();
  const [say, region] = useRegion();
  const came = useRef<string[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const tell = () => {
    const titles = came.current;
    came.current = [];
    timer.current = undefined;
    say(titles.length === 1 ? put(words.newOne, { title: titles[0] ?? "" }) : counted(words, words.newOnes, titles.length));
  };
  const latest = useRef(tell);
  useEffect(() => {
    latest.current = tell;
  });
  useEffect(
    () => () => {
      clearTimeout(timer.current);
      timer.current = undefined;
    },
    [],
  );
  useNotificationEvent("notification", ({ notification: { title, message }, missed }) => {
    if (missed) return;
    came.current.push(title || message);
    timer.current ??= setTimeout(() => latest.current(), GATHER_MS);
  });
  useNotificationEvent("refused", ({ problem }) => say(put(words.notDone, { reason: reason(words, problem) })));
  return region;
}
