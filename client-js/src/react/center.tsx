import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import type { Connection, Filter, Notification } from "../index.js";
import type { Words } from "../locales/words.js";
import { useWords } from "./context.js";
import { useActions, useConnection, useInbox, useUnreadCount } from "./hooks.js";
import { BackIcon, CloseIcon, SettingsIcon } from "./icons.js";
import { NotificationItem, type OnOpen } from "./item.js";
import { NotificationPreferences, type PreferencesProps } from "./preferences.js";

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
}

/** Narrower windows get a drawer over the page, wider ones a sidebar beside it. */
const DRAWER = "(max-width: 640px)";

/** All notifications: a drawer on small screens, a sidebar on large ones. */
export function NotificationCenter({ isOpen, onClose, id, onOpen, renderItem, preferences = {} }: CenterProps): ReactNode {
  const words = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const name = useId();
  const [isSetting, setSetting] = useState(false);
  useEffect(() => {
    const shown = dialog.current;
    if (shown === null || !isOpen) return;
    const before = document.activeElement;
    if (window.matchMedia(DRAWER).matches) shown.showModal();
    else shown.show();
    heading.current?.focus();
    return () => {
      shown.close();
      setSetting(false);
      if (before instanceof HTMLElement) before.focus();
    };
  }, [isOpen]);
  return (
    <dialog
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
              <button type="button" className="carillon-icon" aria-label={words.back} title={words.back} onClick={() => setSetting(false)}>
                <BackIcon />
              </button>
            )}
            <h2 id={name} ref={heading} tabIndex={-1}>
              {isSetting ? words.preferences : words.notifications}
            </h2>
            {preferences !== false && !isSetting && (
              <button type="button" className="carillon-icon" aria-label={words.settings} title={words.settings} onClick={() => setSetting(true)}>
                <SettingsIcon />
              </button>
            )}
            <button type="button" className="carillon-icon" aria-label={words.close} title={words.close} onClick={onClose}>
              <CloseIcon />
            </button>
          </header>
          <State />
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
    <p className="carillon-state" role="status" hidden={said === ""}>
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
  return (
    <div className="carillon-list">
      <div className="carillon-bar">
        <div role="group" aria-label={words.filter} className="carillon-tabs">
          {([ALL, UNREAD] as const).map((one) => (
            <button key={String(one.unreadOnly)} type="button" aria-pressed={filter === one} onClick={() => setFilter(one)}>
              {one === ALL ? words.all : words.unread}
              {one === UNREAD && unread > 0 && <span className="carillon-count">{unread > 999 ? "999+" : unread}</span>}
            </button>
          ))}
        </div>
        <button type="button" className="carillon-plain" disabled={unread === 0} onClick={() => void readAll()}>
          {words.markAllRead}
        </button>
      </div>
      <ul ref={list} aria-busy={isLoading} tabIndex={-1}>
        {notifications.map((notification) => (
          <li key={notification.id}>{renderItem?.(notification) ?? <NotificationItem notification={notification} onOpen={onOpen} />}</li>
        ))}
      </ul>
      {isReady && notifications.length === 0 && !isLoading && (
        <p className="carillon-empty">{filter === UNREAD ? words.emptyUnread : words.empty}</p>
      )}
      {problem !== null && (
        <p role="alert" className="carillon-problem">
          {words.failed}{" "}
          <button type="button" className="carillon-plain" onClick={() => void refresh()}>
            {words.tryAgain}
          </button>
        </p>
      )}
      {problem === null && (hasMore || isLoading) && (
        <button
          type="button"
          className="carillon-more"
          aria-disabled={isLoading}
          onClick={() => {
            const at = notifications.length;
            // The button may be gone then: who reads by keyboard goes on at the first one that is new.
            if (!isLoading) void loadMore().then(() => list.current?.children[at]?.querySelector<HTMLElement>("a, button")?.focus());
          }}
        >
          {isLoading ? words.loading : words.loadMore}
        </button>
      )}
    </div>
  );
}
