import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import type { Connection, Filter, Notification } from "../index.js";
import type { Words } from "../locales/words.js";
import { useTheme, useWords } from "./context.js";
import { useActions, useConnection, useInbox, useUnreadCount } from "./hooks.js";
import { useKeptFocus } from "./focus.js";
import { BackIcon, CloseIcon, SettingsIcon } from "./icons.js";
import { NotificationItem, type OnOpen } from "./item.js";
import { NotificationPreferences, type PreferencesProps } from "./preferences.js";
import { News, Saying, useRegion } from "./say.js";

export interface CenterProps {
  readonly isOpen: boolean;
  readonly onClose: () => void;
  /** Another id for the dialog, for `aria-controls`. */
  readonly id?: string;
  readonly onOpen?: OnOpen;
  /** Draws one notification; `NotificationItem` if nothing is said. */
  readonly renderItem?: (notification: Notification) => ReactNode;
  /** What the settings show; false for no settings. */
  readonly preferences?: PreferencesProps | false;
  /** Whether new notifications are told to screen readers, by the bell or, over it, the drawer; they are, if nothing is said. */
  readonly announce?: boolean;
}

/** Narrower windows get a drawer over the page, wider ones a sidebar beside it. */
const DRAWER = "(max-width: 640px)";

/** All notifications: a drawer on small screens, a sidebar on large ones. */
export function NotificationCenter({ isOpen, onClose, id, onOpen, renderItem, preferences = {}, announce = true }: CenterProps): ReactNode {
  const words = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const name = useId();
  const settings = useRef<HTMLButtonElement>(null);
  const theme = useTheme();
  const [isSetting, setSetting] = useState(false);
  const [isModal, setModal] = useState(false);
  useEffect(() => {
    const shown = dialog.current;
    if (shown === null || !isOpen) return;
    const before = document.activeElement;
    const { matches } = window.matchMedia(DRAWER);
    if (matches) shown.showModal();
    else shown.show();
    setModal(matches);
    heading.current?.focus();
    return () => {
      shown.close();
      setSetting(false);
      if (before instanceof HTMLElement) before.focus();
    };
  }, [isOpen]);
  const hasTurned = useRef(false);
  const turn = (toSettings: boolean) => {
    hasTurned.current = true;
    setSetting(toSettings);
  };
  useEffect(() => {
    // The button that was pressed is gone: who uses a keyboard goes on at what has come in its place.
    if (hasTurned.current) (isSetting ? heading : settings).current?.focus();
    hasTurned.current = false;
  }, [isSetting]);
  return (
    <dialog
      {...theme}
      ref={dialog}
      id={id}
      className="carillon carillon-center"
      aria-labelledby={name}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      {isOpen && (
        <div className="carillon-panel">
          <header>
            {isSetting && (
              <button type="button" className="carillon-icon" aria-label={words.back} title={words.back} onClick={() => turn(false)}>
                <BackIcon />
              </button>
            )}
            <h2 id={name} ref={heading} tabIndex={-1}>
              {isSetting ? words.preferences : words.notifications}
            </h2>
            {preferences !== false && !isSetting && (
              <button
                ref={settings}
                type="button"
                className="carillon-icon"
                aria-label={words.settings}
                title={words.settings}
                onClick={() => turn(true)}
              >
                <SettingsIcon />
              </button>
            )}
            <button type="button" className="carillon-icon" aria-label={words.close} title={words.close} onClick={onClose}>
              <CloseIcon />
            </button>
          </header>
          <State />
          {isModal && announce && <News />}
          {isSetting && preferences !== false ? (
            <NotificationPreferences {...preferences} isHeaded={false} />
          ) : (
            <NotificationList onOpen={onOpen} renderItem={renderItem} />
          )}
        </div>
      )}
    </dialog>
  );
}

function stateOf(words: Words, { status, failures }: Connection): string {
  if (status === "offline") return words.offline;
  if (status === "refused") return words.refused;
  return failures > 1 && status !== "open" ? words.reconnecting : "";
}

/** Says what is wrong with the connection, if anything is. */
function State(): ReactNode {
  const said = stateOf(useWords(), useConnection());
  return (
    <p className="carillon-state" role="status">
      {said}
    </p>
  );
}

export interface NotificationListProps {
  readonly onOpen?: OnOpen | undefined;
  readonly renderItem?: ((notification: Notification) => ReactNode) | undefined;
}

const ALL: Filter = {};
const UNREAD: Filter = { unreadOnly: true };

/** What the centre shows inside: a page of its own can be made of it. */
export function NotificationList({ onOpen, renderItem }: NotificationListProps): ReactNode {
  const words = useWords();
  const [filter, setFilter] = useState(ALL);
  const { notifications, hasMore, isLoading, isReady, problem, loadMore, refresh } = useInbox(filter);
  const { readAll } = useActions();
  const unread = useUnreadCount() ?? 0;
  const list = useRef<HTMLUListElement>(null);
  const empty = useRef<HTMLParagraphElement>(null);
  const kept = useKeptFocus(list, () => empty.current ?? list.current);
  const [isMore, setMore] = useState(false);
  // What is read again behind the scenes is nothing to look at, unless nothing is here.
  const isEmpty = isReady && notifications.length === 0 && !(isLoading && unread > 0);
  const isBusy = isMore || (isLoading && notifications.length === 0 && !isEmpty);
  const more = async () => {
    if (isBusy) return;
    setMore(true);
    const last = list.current?.lastElementChild;
    await loadMore();
    setMore(false);
    // The button may be gone now: who reads by keyboard goes on at the first one that is new.
    last?.nextElementSibling?.querySelector<HTMLElement>("a, button")?.focus();
  };
  const [say, region] = useRegion();
  const all = () => {
    say(words.allRead);
    void readAll();
  };
  const theme = useTheme();
  return (
    <div className="carillon carillon-list" {...theme} {...kept}>
      {region}
      <div className="carillon-bar">
        <div role="group" aria-label={words.filter} className="carillon-tabs">
          {([ALL, UNREAD] as const).map((one) => (
            <button key={String(one.unreadOnly)} type="button" aria-pressed={filter === one} onClick={() => setFilter(one)}>
              {one === ALL ? words.all : words.unread}
              {one === UNREAD && unread > 0 && <span className="carillon-count">{unread > 999 ? "999+" : unread}</span>}
            </button>
          ))}
        </div>
        <button type="button" className="carillon-plain" aria-disabled={unread === 0} onClick={() => unread > 0 && all()}>
          {words.markAllRead}
        </button>
      </div>
      <ul ref={list} aria-label={words.notifications} aria-busy={isLoading} tabIndex={-1}>
        <Saying.Provider value={say}>
          {notifications.map((notification) => (
            <li key={notification.id}>{renderItem?.(notification) ?? <NotificationItem notification={notification} onOpen={onOpen} />}</li>
          ))}
        </Saying.Provider>
      </ul>
      {isEmpty && (
        <p ref={empty} tabIndex={-1} className="carillon-empty">
          {filter === UNREAD ? words.emptyUnread : words.empty}
        </p>
      )}
      {problem !== null && (
        <p role="alert" className="carillon-problem">
          {words.failed}{" "}
          <button type="button" className="carillon-plain" onClick={() => void refresh()}>
            {words.tryAgain}
          </button>
        </p>
      )}
      {problem === null && (hasMore || isBusy) && (
        <button type="button" className="carillon-more" aria-disabled={isBusy} onClick={() => void more()}>
          {isBusy ? words.loading : words.loadMore}
        </button>
      )}
    </div>
  );
}
