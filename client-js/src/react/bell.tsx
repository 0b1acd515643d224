import { type ReactNode, useEffect, useId, useState } from "react";
import { counted } from "../locales/words.js";
import { NotificationCenter, type CenterProps } from "./center.js";
import { useTheme, useWords } from "./context.js";
import { useNotificationEvent, useUnreadCount } from "./hooks.js";
import { BellIcon } from "./icons.js";
import { News } from "./say.js";

export interface BellProps extends Partial<Omit<CenterProps, "isOpen" | "onClose" | "id">> {
  /** What a click does. If nothing is said, the bell opens a centre of its own. */
  readonly onClick?: () => void;
}

const RING_MS = 900;

/** A bell with the number of unread notifications. */
export function NotificationBell({ onClick, announce = true, ...center }: BellProps): ReactNode {
  const words = useWords();
  const unread = useUnreadCount() ?? 0;
  const theme = useTheme();
  const id = useId();
  const [isOpen, setOpen] = useState(false);
  const [rings, setRings] = useState(0);
  useNotificationEvent("notification", ({ missed }) => {
    if (!missed) setRings((count) => count + 1);
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
        {...theme}
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
      {announce && <News />}
      {onClick === undefined && <NotificationCenter {...center} announce={announce} id={id} isOpen={isOpen} onClose={() => setOpen(false)} />}
    </>
  );
}
