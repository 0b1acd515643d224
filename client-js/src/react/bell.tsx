import { type ReactNode, useEffect, useId, useState } from "react";
import { counted, put } from "../locales/words.js";
import { NotificationCenter, type CenterProps } from "./center.js";
import { useWords } from "./context.js";
import { useNotificationEvent, useUnreadCount } from "./hooks.js";
import { BellIcon } from "./icons.js";

export interface BellProps extends Partial<Omit<CenterProps, "isOpen" | "onClose" | "id">> {
  /** What a click does. If nothing is said, the bell opens a centre of its own. */
  readonly onClick?: () => void;
  /** Whether new notifications are told to screen readers; they are, if nothing is said. */
  readonly announce?: boolean;
}

const RING_MS = 900;

/** A bell with the number of unread notifications. */
export function NotificationBell({ onClick, announce = true, ...center }: BellProps): ReactNode {
  const words = useWords();
  const unread = useUnreadCount() ?? 0;
  const id = useId();
  const [isOpen, setOpen] = useState(false);
  const [rings, setRings] = useState(0);
  const [said, setSaid] = useState("");
  useNotificationEvent("notification", ({ notification, missed }) => {
    if (missed) return;
    setRings((count) => count + 1);
    setSaid(put(words.newOne, { title: notification.title || notification.message }));
  });
  const [isRinging, setRinging] = useState(false);
  useEffect(() => {
    if (rings === 0) return;
    setRinging(true);
    const timer = setTimeout(() => setRinging(false), RING_MS);
    return () => clearTimeout(timer);
  }, [rings]);
  return (
    <>
      <button
        type="button"
        className="carillon carillon-bell"
        data-rings={isRinging}
        aria-label={unread === 0 ? words.bellNone : counted(words, words.bell, unread)}
        {...(onClick === undefined && { "aria-haspopup": "dialog" as const, "aria-expanded": isOpen, "aria-controls": id })}
        onClick={onClick ?? (() => setOpen(!isOpen))}
      >
        <BellIcon />
        {unread > 0 && (
          <span className="carillon-badge" aria-hidden="true">
            {unread > 99 ? "99+" : unread}
          </span>
        )}
      </button>
      {announce && (
        <span className="carillon-hidden" role="status">
          {said}
        </span>
      )}
      {onClick === undefined && <NotificationCenter {...center} id={id} isOpen={isOpen} onClose={() => setOpen(false)} />}
    </>
  );
}
