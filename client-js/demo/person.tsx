// One person's side: a page of theirs with the package's bell, centre, inbox, settings and toasts, over a connection of its own.

import { type Client, type Notification, connect, socketIo } from "carillon-client";
import { put } from "carillon-client/locales";
import {
  NotificationBell,
  NotificationItem,
  NotificationList,
  NotificationPreferences,
  NotificationProvider,
  NotificationToasts,
  useConnection,
  useNotificationEvent,
  useUnreadCount,
} from "carillon-client/react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { type Chosen, useLanguage } from "./language.ts";
import { type Person, renewed, tokenOf } from "./server.ts";
import { watched } from "./wire.ts";

/** What a person's side tells the rest of the page. */
export type Told =
  | { readonly kind: "came"; readonly missed: boolean }
  | { readonly kind: "changed"; readonly isRead: boolean }
  | { readonly kind: "is"; readonly state: State }
  | { readonly kind: "unread"; readonly count: number };

export type State = "open" | "connecting" | "lost" | "refused" | "away";

export interface PersonProps {
  readonly person: Person;
  readonly chosen: Chosen | null;
  readonly onChoose: (chosen: Chosen) => void;
  readonly onTold: (person: Person, told: Told) => void;
}

/** Connects `person` while `isOn`: the server cannot tell the switch from a closed laptop. */
function useConnected(person: Person, isOn: boolean): Client | null {
  const [client, setClient] = useState<Client | null>(null);
  useEffect(() => {
    if (!isOn) return;
    const made = connect({
      url: window.location.origin,
      getToken: async ({ renew }) => {
        if (renew) await renewed();
        return tokenOf(person.id);
      },
      transport: socketIo(watched(person.name)),
    });
    setClient(made);
    return () => {
      made.close();
      setClient(null);
    };
  }, [person.id, person.name, isOn]);
  return client;
}

export function PersonSide(props: PersonProps): ReactNode {
  const { words } = useLanguage();
  const [isOn, setOn] = useState(true);
  const client = useConnected(props.person, isOn);
  return (
    <NotificationProvider {...(client !== null && { client })} words={words}>
      <Side {...props} isOn={isOn} onSwitch={() => setOn(!isOn)} />
    </NotificationProvider>
  );
}

interface SideProps extends PersonProps {
  readonly isOn: boolean;
  readonly onSwitch: () => void;
}

function useTelling({ person, onTold }: PersonProps, state: State): void {
  const unread = useUnreadCount() ?? 0;
  const tell = useRef(onTold);
  tell.current = onTold;
  useEffect(() => tell.current(person, { kind: "is", state }), [person, state]);
  useEffect(() => tell.current(person, { kind: "unread", count: unread }), [person, unread]);
  useNotificationEvent("notification", ({ missed }) => onTold(person, { kind: "came", missed }));
  useNotificationEvent("changed", ({ standing }) => onTold(person, { kind: "changed", isRead: standing === "read" }));
}

const STATES: Readonly<Record<string, State>> = { open: "open", refused: "refused", waiting: "lost", offline: "lost" };

function Side(props: SideProps): ReactNode {
  const { person, isOn, onSwitch } = props;
  const { own, words } = useLanguage();
  const { status, failures } = useConnection();
  const state = isOn ? (STATES[status] ?? (failures > 0 ? "lost" : "connecting")) : "away";
  const [view, setView] = useState<"inbox" | "settings">("inbox");
  const types = Object.entries(own.types).map(([type, label]) => ({ type, label }));
  const renderItem = (notification: Notification) => <Item {...props} notification={notification} />;
  useTelling(props, state);
  const name = `name-${person.id}`;
  return (
    <section className="card side" id={`person-${person.id}`} aria-labelledby={name} data-state={state}>
      <header className="side-head">
        <span className="avatar" aria-hidden="true">
          {person.name.slice(0, 1)}
        </span>
        <div className="side-name">
          <h2 id={name}>{person.name}</h2>
          <p role="status" className="side-state">
            <span className="dot" aria-hidden="true" /> {own.state[state]}
          </p>
        </div>
        <button type="button" className="switch" data-on={isOn} onClick={onSwitch}>
          {isOn ? own.goOffline : own.comeBack}
          <span className="sr">: {person.name}</span>
        </button>
        {isOn && <NotificationBell preferences={{ types }} />}
      </header>
      {isOn ? (
        <>
          <div className="views" role="group" aria-label={put(own.views, { name: person.name })}>
            {(["inbox", "settings"] as const).map((one) => (
              <button key={one} type="button" aria-pressed={view === one} onClick={() => setView(one)}>
                {own[one]}
              </button>
            ))}
          </div>
          <div className="side-body carillon">
            {view === "inbox" ? <NotificationList renderItem={renderItem} /> : <NotificationPreferences types={types} />}
          </div>
        </>
      ) : (
        <p className="empty">{put(own.away, { name: person.name })}</p>
      )}
      <NotificationToasts label={`${words.notifications}: ${person.name}`} />
    </section>
  );
}

/** As the package draws it, and a way to its timeline. */
function Item({ person, chosen, onChoose, notification }: PersonProps & { readonly notification: Notification }): ReactNode {
  const { own } = useLanguage();
  const { id } = notification;
  return (
    <>
      <NotificationItem notification={notification} />
      <button
        type="button"
        className="why"
        aria-pressed={chosen?.id === id && chosen.person.id === person.id}
        onClick={() => {
          onChoose({ id, person });
          document.getElementById("timeline")?.scrollIntoView({ block: "nearest" });
        }}
      >
        {own.why}
        <span className="sr">: {notification.title || notification.message}</span>
      </button>
    </>
  );
}
