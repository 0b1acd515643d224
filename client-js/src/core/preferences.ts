import type { Priority } from "./notification.js";
import { type Fields, fields, text, texts, textOrNull } from "./wire.js";

/** A way of delivery. `inApp` is everything that shows the inbox: sockets, lists and counts. */
export type Channel = "inApp" | "email" | "push" | "sms";

export const CHANNELS: readonly Channel[] = ["inApp", "email", "push", "sms"];

/** On or off, for each channel. */
export type Switches = Readonly<Record<Channel, boolean>>;

/** When nobody is to be told. */
export interface QuietHours {
  readonly enabled: boolean;
  /** `22:00` */
  readonly start: string;
  /** `07:00`; not later than the start means on the next day. */
  readonly end: string;
  /** Days on which they start (`mon` … `sun`); none means all. */
  readonly days: readonly string[];
}

/** What the person wants to hear. Off anywhere is off. */
export interface Preferences {
  readonly channels: Switches;
  readonly types: Readonly<Record<string, Switches>>;
  readonly topics: Readonly<Record<string, Switches>>;
  readonly quietHours: QuietHours | null;
  readonly timeZone: string;
  /** Types that cannot be switched off. */
  readonly mandatoryTypes: readonly string[];
}

/** A type of notifications that a page of preferences may offer. */
export interface KnownType {
  readonly type: string;
  /** It cannot be switched off. */
  readonly isMandatory: boolean;
  /** The person's preferences have a rule for it. */
  readonly hasRule: boolean;
}

/** What is to be different; the rest stays. */
export interface PreferencesChange {
  readonly channels?: Partial<Switches>;
  readonly types?: Readonly<Record<string, Partial<Switches>>>;
  readonly topics?: Readonly<Record<string, Partial<Switches>>>;
  readonly quietHours?: Partial<QuietHours> | null;
  readonly timeZone?: string;
}

/** All that came since the last one, in one notification, once a day or week. */
export interface Digest {
  readonly isEnabled: boolean;
  /** `07:00` */
  readonly deliveryTime: string;
  readonly timezone: string;
  /** Whether that was chosen for the digest; else it follows `timeZone` of the preferences. */
  readonly timezoneIsOwn: boolean;
  readonly frequency: "daily" | "weekly";
  /** `mon` … `sun`; counts only if it is weekly. */
  readonly dayOfWeek: string;
  /** Of these types only; none means of all. */
  readonly includeTypes: readonly string[];
  readonly excludeWeekends: boolean;
  readonly minPriority: Priority;
  /** Over which ways it comes: any of `inApp`, `email` and `push`. */
  readonly channels: readonly Channel[];
}

const WIRE: Readonly<Record<Channel, string>> = { inApp: "in_app", email: "email", push: "push", sms: "sms" };

function switches(value: unknown): Switches {
  const said = fields(value);
  const on = (channel: Channel) => said[WIRE[channel]] !== false;
  return { inApp: on("inApp"), email: on("email"), push: on("push"), sms: on("sms") };
}

const each = <In, Out>(all: Readonly<Record<string, In>>, change: (one: In) => Out): Record<string, Out> =>
  Object.fromEntries(Object.entries(all).map(([name, one]) => [name, change(one)]));

const switchesToWire = (given: Partial<Switches>): Fields =>
  Object.fromEntries(CHANNELS.filter((channel) => given[channel] !== undefined).map((channel) => [WIRE[channel], given[channel]]));

export function preferencesFrom(given: unknown): Preferences {
  const said = fields(given);
  const quiet = fields(said.quiet_hours);
  return {
    channels: switches(said.channels),
    types: each(fields(said.types), switches),
    topics: each(fields(said.topics), switches),
    quietHours:
      textOrNull(quiet.start) === null
        ? null
        : { enabled: quiet.enabled !== false, start: text(quiet.start), end: text(quiet.end), days: texts(quiet.days) },
    timeZone: text(said.time_zone) || "UTC",
    mandatoryTypes: texts(said.mandatory_types),
  };
}

export function preferencesToWire(change: PreferencesChange): Fields {
  return {
    ...(change.channels && { channels: switchesToWire(change.channels) }),
    ...(change.types && { types: each(change.types, switchesToWire) }),
    ...(change.topics && { topics: each(change.topics, switchesToWire) }),
    ...(change.quietHours !== undefined && { quiet_hours: change.quietHours }),
    ...(change.timeZone !== undefined && { time_zone: change.timeZone }),
  };
}

export const knownTypesFrom = (given: unknown): KnownType[] => {
  const all = fields(given).types;
  return (Array.isArray(all) ? all : [])
    .map(fields)
    .filter(({ type }) => text(type) !== "")
    .map(({ type, is_mandatory, has_rule }) => ({ type: text(type), isMandatory: is_mandatory === true, hasRule: has_rule === true }));
};

const PRIORITIES: readonly Priority[] = ["low", "normal", "high", "urgent"];

export function digestFrom(given: unknown): Digest {
  const said = fields(given);
  return {
    isEnabled: said.is_enabled !== false,
    deliveryTime: text(said.delivery_time).slice(0, 5) || "07:00",
    timezone: text(said.timezone) || "UTC",
    timezoneIsOwn: said.timezone_is_own === true,
    frequency: said.frequency === "weekly" ? "weekly" : "daily",
    dayOfWeek: text(said.day_of_week) || "mon",
    includeTypes: texts(said.include_types),
    excludeWeekends: said.exclude_weekends === true,
    minPriority: PRIORITIES.find((one) => one === said.min_priority) ?? "low",
    channels: CHANNELS.filter((channel) => texts(said.channels).includes(WIRE[channel])),
  };
}

export function digestToWire(digest: Digest): Fields {
  return {
    is_enabled: digest.isEnabled,
    delivery_time: digest.deliveryTime,
    timezone: digest.timezoneIsOwn ? digest.timezone : null,
    frequency: digest.frequency,
    day_of_week: digest.dayOfWeek,
    include_types: digest.includeTypes,
    exclude_weekends: digest.excludeWeekends,
    min_priority: digest.minPriority,
    ...(digest.channels.length > 0 && { channels: digest.channels.map((channel) => WIRE[channel]) }),
  };
}
