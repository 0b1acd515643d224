import { type FocusEvent, type ReactNode, useEffect, useRef, useState } from "react";
import type { Notification } from "../index.js";
import { put, reason } from "../locales/words.js";
import { useTheme, useWords } from "./context.js";
import { useKeptFocus } from "./focus.js";
import { useNotificationEvent } from "./hooks.js";
import { CloseIcon } from "./icons.js";
import { type OnOpen, Title } from "./item.js";

export interface ToastsProps {
  /** How many may stand there at once: 3 if nothing is said. */
  readonly most?: number;
  /** How long one stands, in milliseconds: 6,000 if nothing is said. What is urgent stands until it is dismissed. */
  readonly duration?: number;
  readonly onOpen?: OnOpen;
  /** Whether screen readers are told; the bell does that, so they are not, if nothing is said. */
  readonly announce?: boolean;
  /** What screen readers call the place; to be said where two people's stand on one page. */
  readonly label?: string;
}

interface Toast {
  readonly key: number;
  readonly notification: Notification | null;
  readonly text: string;
}

let last = 0;

/** No more than `most`: the oldest goes, of those that are not to stay until they are dismissed, if there are others. */
function fitting(toasts: readonly Toast[], most: number): readonly Toast[] {
  if (toasts.length <= most) return toasts;
  const passing = toasts.findIndex(({ notification }) => notification?.priority !== "urgent");
  const gone = passing === -1 || passing === toasts.length - 1 ? 0 : passing;
  return fitting(toasts.filter((_, at) => at !== gone), most);
}

/** What comes, shown for a moment; and what the server would not do. */
export function NotificationToasts({ most = 3, duration = 6000, onOpen, announce = false, label }: ToastsProps): ReactNode {
  const words = useWords();
  const [toasts, setToasts] = useState<readonly Toast[]>([]);
  const add = (notification: Notification | null, text: string) => {
    last += 1;
    const toast = { key: last, notification, text };
    setToasts((now) => fitting([...now, toast], most));
  };
  const drop = (key: number) => setToasts((now) => now.filter((one) => one.key !== key));
  useNotificationEvent("notification", ({ notification, missed }) => {
    if (!missed) add(notification, "");
  });
  useNotificationEvent("changed", ({ id, standing }) => {
    if (standing !== "unread") setToasts((now) => now.filter(({ notification }) => notification === null || (id !== null && notification.id !== id)));
  });
  useNotificationEvent("refused", ({ problem }) => add(null, put(words.notDone, { reason: reason(words, problem) })));
  const section = useRef<HTMLElement>(null);
  const theme = useTheme();
  const from = useRef<HTMLElement | null>(null);
  const kept = useKeptFocus(section, () => from.current);
  const onFocus = (event: FocusEvent<HTMLElement>) => {
    const { relatedTarget, currentTarget } = event;
    if (relatedTarget instanceof HTMLElement && !currentTarget.contains(relatedTarget)) from.current = relatedTarget;
    kept.onFocus(event);
  };
  return (
    <section
      ref={section}
      {...theme}
      className="carillon carillon-toasts"
      aria-label={label ?? words.notifications}
      aria-live={announce ? "polite" : "off"}
      onFocus={onFocus}
      onBlur={kept.onBlur}
    >
      {toasts.map((toast) => (
        <OneToast key={toast.key} toast={toast} duration={duration} onOpen={onOpen} onGone={() => drop(toast.key)} />
      ))}
    </section>
  );
}

interface OneProps {
  readonly toast: Toast;
  readonly duration: number;
  readonly onOpen: OnOpen | undefined;
  readonly onGone: () => void;
}

function OneToast({ toast: { notification, text }, duration, onOpen, onGone }: OneProps): ReactNode {
  const words = useWords();
  const [isHeld, setHeld] = useState(false);
  const stays = isHeld || notification?.priority === "urgent";
  useEffect(() => {
    if (stays) return;
    const timer = setTimeout(onGone, duration);
    return () => clearTimeout(timer);
    // Only whether it stays counts: a new `onGone` is no reason to begin again.
  }, [stays, duration]);
  return (
    <div
      className="carillon-toast"
      data-priority={notification?.priority ?? "high"}
      onMouseEnter={() => setHeld(true)}
      onMouseLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
    >
      <div>
        {notification === null ? (
          <p>{text}</p>
        ) : (
          <>
            <strong>
              <Title notification={notification} onOpen={onOpen} />
            </strong>
            {notification.title !== "" && notification.message !== "" && <p>{notification.message}</p>}
          </>
        )}
      </div>
      <button type="button" className="carillon-icon" aria-label={words.dismiss} title={words.dismiss} onClick={onGone}>
        <CloseIcon />
      </button>
    </div>
  );
}
