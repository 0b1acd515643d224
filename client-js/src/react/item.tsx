import { type MouseEvent, type ReactNode, useId } from "react";
import type { Notification } from "../index.js";
import { type Words, put, typeLabel } from "../locales/words.js";
import { useWords } from "./context.js";
import { useActions } from "./hooks.js";
import { BinIcon, CheckIcon, DotIcon } from "./icons.js";
import { useSay } from "./say.js";
import { Ago } from "./time.js";

/** Called when somebody follows a notification; `event.preventDefault()` keeps the browser from going there by itself. */
export type OnOpen = (notification: Notification, event: MouseEvent<HTMLAnchorElement>) => void;

/** What stands for a notification in one line. */
export const titleOf = (words: Words, { title, message, type }: Notification): string => title || message || typeLabel(words, type);

/** The title: a link if the notification leads somewhere. */
export function Title({ notification, onOpen }: { readonly notification: Notification; readonly onOpen?: OnOpen | undefined }): ReactNode {
  const { read } = useActions();
  const title = titleOf(useWords(), notification);
  if (notification.actionUrl === null) return title;
  return (
    <a
      href={notification.actionUrl}
      rel="noopener noreferrer"
      onClick={(event) => {
        if (!notification.isRead) void read(notification.id);
        onOpen?.(notification, event);
      }}
    >
      {title}
    </a>
  );
}

export interface ItemProps {
  readonly notification: Notification;
  readonly onOpen?: OnOpen | undefined;
}

/** One notification of a list, and what can be done with it. */
export function NotificationItem({ notification, onOpen }: ItemProps): ReactNode {
  const words = useWords();
  const { read, unread, remove } = useActions();
  const say = useSay();
  const name = useId();
  const { id, isRead, priority, message, title } = notification;
  const act = (done: string, work: Promise<boolean>) => {
    say(put(done, { title: titleOf(words, notification) }));
    // What the server would not have is told by `refused`.
    void work;
  };
  return (
    <article className="carillon-item" data-unread={!isRead} data-priority={priority} aria-labelledby={name}>
      <div className="carillon-item-text">
        <h3 id={name}>
          {!isRead && <span className="carillon-dot" role="img" aria-label={words.isUnread} />}
          <Title notification={notification} onOpen={onOpen} />
        </h3>
        {title !== "" && message !== "" && <p>{message}</p>}
        <footer>
          {priority === "urgent" && <strong>{words.urgent}</strong>}
          <Ago at={notification.createdAt} />
        </footer>
      </div>
      <div className="carillon-item-actions">
        <button
          type="button"
          className="carillon-icon"
          aria-label={isRead ? words.markUnread : words.markRead}
          title={isRead ? words.markUnread : words.markRead}
          aria-describedby={name}
          onClick={() => (isRead ? act(words.nowUnread, unread(id)) : act(words.nowRead, read(id)))}
        >
          {isRead ? <DotIcon /> : <CheckIcon />}
        </button>
        <button
          type="button"
          className="carillon-icon"
          aria-label={words.remove}
          title={words.remove}
          aria-describedby={name}
          onClick={() => act(words.removed, remove(id))}
        >
          <BinIcon />
        </button>
      </div>
    </article>
  );
}
