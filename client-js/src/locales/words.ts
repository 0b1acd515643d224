/** A sentence for each plural form of the language; `{count}` stands for the number. `other` must be there. */
export type Plural = Readonly<Partial<Record<Intl.LDMLPluralRule, string>>> & { readonly other: string };

/** All that the components say, in one language. `{name}` stands for what is put in. */
export interface Words {
  /** BCP 47, such as `es-MX`: how dates and plurals are written. */
  readonly tag: string;
  readonly notifications: string;
  readonly bell: Plural;
  readonly bellNone: string;
  readonly close: string;
  readonly all: string;
  readonly unread: string;
  readonly filter: string;
  readonly markAllRead: string;
  readonly markRead: string;
  readonly markUnread: string;
  readonly remove: string;
  readonly open: string;
  readonly loadMore: string;
  readonly loading: string;
  readonly empty: string;
  readonly emptyUnread: string;
  readonly failed: string;
  readonly tryAgain: string;
  readonly isUnread: string;
  readonly urgent: string;
  readonly newOne: string;
  /** Told to screen readers: what came at once, and what was done. */
  readonly newOnes: Plural;
  readonly removed: string;
  readonly nowRead: string;
  readonly nowUnread: string;
  readonly allRead: string;
  readonly offline: string;
  readonly reconnecting: string;
  readonly refused: string;
  readonly dismiss: string;
  readonly notDone: string;
  readonly settings: string;
  readonly back: string;
  readonly preferences: string;
  readonly everything: string;
  readonly kind: string;
  readonly kinds: string;
  readonly always: string;
  readonly inApp: string;
  readonly email: string;
  readonly push: string;
  readonly sms: string;
  readonly quietHours: string;
  readonly quietHoursOn: string;
  readonly quietHoursHelp: string;
  readonly from: string;
  readonly to: string;
  readonly days: string;
  readonly timeZone: string;
  /** Of the digest: it follows the one above. */
  readonly sameTimeZone: string;
  readonly digest: string;
  readonly digestOn: string;
  readonly day: string;
  readonly by: string;
  readonly digestTime: string;
  readonly frequency: string;
  readonly daily: string;
  readonly weekly: string;
  readonly weekends: string;
  readonly atLeast: string;
  readonly low: string;
  readonly normal: string;
  readonly high: string;
  readonly saved: string;
  readonly saving: string;
  /**
   * Why something was not done, by the `code` of its `Problem`; with a field (`invalid_field:quiet_hours`) before that, and by
   * `http` (`{status}`) where something else than the server answered. What is not here is said in the server's own words.
   */
  readonly problems: Readonly<Record<string, string>>;
  /** What kinds of notifications are called, by `type`. What is not here is called by its type: `Order status` for `order_status`. */
  readonly types: Readonly<Record<string, string>>;
}

/** What `reason` takes of a `Problem`. */
export interface Why {
  readonly code: string;
  readonly field: string | null;
  readonly status: number;
  readonly message: string;
}

const own = (all: Readonly<Record<string, string>>, name: string) => (Object.hasOwn(all, name) ? all[name] : undefined);

/** Why something was not done, in the language of `words` if it has words for it. */
export function reason(words: Words, { code, field, status, message }: Why): string {
  const names = [`${code}:${field?.split(".")[0]}`, code, ...(/^http_\d+$/.test(code) ? ["http"] : [])];
  const known = names.map((name) => own(words.problems, name)).find((one) => one !== undefined);
  return known === undefined ? message : put(known, { status });
}

/** What people read for a kind of notifications: `Security alert` for `security_alert`. */
export function typeLabel(words: Words, type: string): string {
  const known = own(words.types, type);
  if (known !== undefined) return known;
  const bare = type.replace(/([a-z\d])([A-Z])/g, (_, before: string, after: string) => `${before} ${after.toLowerCase()}`);
  const said = bare.replace(/[\s_.:/-]+/g, " ").trim();
  return said === "" ? type : said.charAt(0).toLocaleUpperCase(words.tag) + said.slice(1);
}

/** A sentence with its values put in. */
export function put(sentence: string, values: Readonly<Record<string, string | number>>): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The form of `plural` for `count`, with the number as the language writes it. */
export function counted(words: Words, plural: Plural, count: number): string {
  const form = new Intl.PluralRules(words.tag).select(count);
  return put(plural[form] ?? plural.other, { count: new Intl.NumberFormat(words.tag).format(count) });
}
