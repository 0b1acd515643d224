import { type ReactNode, useEffect, useRef, useSyncExternalStore } from "react";
import { clock, useLanguage } from "./language.ts";
import { wire } from "./wire.ts";

/** All that the two sockets say and hear; the last is in sight, unless somebody looks further up. */
export function WireLog(): ReactNode {
  const { own } = useLanguage();
  const rows = useSyncExternalStore(wire.subscribe, wire.getSnapshot);
  const list = useRef<HTMLOListElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    if (follows.current && list.current !== null) list.current.scrollTop = list.current.scrollHeight;
  }, [rows]);
  return (
    <section className="card wire" aria-labelledby="wire-title">
      <header className="card-head">
        <h2 id="wire-title">{own.wire}</h2>
        <button type="button" className="quiet" onClick={wire.clear}>
          {own.clear}
        </button>
      </header>
      <ol
        id="wire"
        ref={list}
        tabIndex={0}
        aria-labelledby="wire-title"
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          follows.current = scrollHeight - scrollTop - clientHeight < 40;
        }}
      >
        {rows.length === 0 && <li>{own.noWire}</li>}
        {rows.map(({ key, at, who, way, event, payload }) => (
          <li key={key} data-way={way}>
            <time dateTime={new Date(at).toISOString()}>{clock(at)}</time> <span className="who">{who}</span>{" "}
            <span className="way-mark">{{ out: "→", in: "←", note: "·" }[way]}</span> <code className="event">{event}</code> <span className="payload">{payload}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
