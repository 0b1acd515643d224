import { createContext, useContext } from "react";
import type { Person } from "./server.ts";
import { ENGLISH } from "./words.ts";

export const Language = createContext(ENGLISH);

/** What the page says, and what the package says. */
export const useLanguage = (): typeof ENGLISH => useContext(Language);

/** One notification on its way to one person. */
export interface Chosen {
  readonly id: string;
  readonly person: Person;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

/** Milliseconds since 1970, by the visitor's clock, to the millisecond. */
export const clock = (at: number): string => CLOCK.format(at);
