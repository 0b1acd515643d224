import { type FocusEvent, type RefObject, useEffect, useRef } from "react";

const FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled)";

interface Place {
  readonly element: HTMLElement;
  /** Which child of the list it is in; -1 for none. */
  readonly item: number;
  /** How many there are behind it in its item. */
  readonly behind: number;
}

const inside = (item: Element) => [...item.querySelectorAll<HTMLElement>(FOCUSABLE)];

/**
 * Keeps the focus when what has it goes away: it goes on to the same place in the next item of `list`, else in the one before,
 * else to where `otherwise` says. To be given to an element around the list.
 */
export function useKeptFocus(list: RefObject<HTMLElement | null>, otherwise: () => HTMLElement | null | undefined) {
  const place = useRef<Place | null>(null);
  useEffect(() => {
    const was = place.current;
    if (was === null || was.element.isConnected) return;
    place.current = null;
    const now = document.activeElement;
    if (now !== null && now !== document.body) return;
    const items = was.item < 0 ? [] : [...(list.current?.children ?? [])];
    const next = items[Math.min(was.item, items.length - 1)];
    const places = next === undefined ? [] : inside(next);
    (places.at(-1 - was.behind) ?? places.at(-1) ?? otherwise())?.focus();
  });
  return {
    onFocus({ target }: FocusEvent<HTMLElement>) {
      const items = [...(list.current?.children ?? [])];
      const item = items.findIndex((one) => one.contains(target));
      const places = items[item] === undefined ? [] : inside(items[item]);
      place.current = { element: target, item, behind: Math.max(0, places.length - 1 - places.indexOf(target)) };
    },
    onBlur({ target, relatedTarget }: FocusEvent<HTMLElement>) {
      // A window that is left keeps its place.
      if (relatedTarget !== null || document.activeElement !== target) place.current = null;
    },
  };
}
