import { type ReactNode, useId, useState } from "react";
import { CHANNELS, type Channel, type Digest, type Preferences, type PreferencesChange, type Priority } from "../index.js";
import { reason, typeLabel } from "../locales/words.js";
import { useTheme, useWords } from "./context.js";
import { type Kept, useDigest, usePreferences, useTypes } from "./hooks.js";

export interface PreferencesProps {
  /**
   * The kinds of notifications there are, with the names that people read: those that the server knows, if nothing is said.
   * Those with a rule already are shown in any case.
   */
  readonly types?: readonly { readonly type: string; readonly label: string }[];
  /** Which ways of delivery are shown: all, if nothing is said. */
  readonly channels?: readonly Channel[];
  /** Whether it has a heading of its own; it has, if nothing is said. */
  readonly isHeaded?: boolean;
}

/** What somebody wants to hear, by which ways, and when. Each change is kept at once. */
export function NotificationPreferences({ types, channels = CHANNELS, isHeaded = true }: PreferencesProps): ReactNode {
  const words = useWords();
  const kept = usePreferences();
  const known = useTypes(types === undefined);
  const offered = types ?? known?.map(({ type }) => ({ type, label: typeLabel(words, type) })) ?? [];
  const name = useId();
  const theme = useTheme();
  const digest = useDigest();
  const [isDigestLast, setDigestLast] = useState(false);
  const change: Change = (wanted) => {
    setDigestLast(false);
    return kept.change(wanted);
  };
  const order = (wanted: Digest) => {
    setDigestLast(true);
    return digest.change(wanted);
  };
  return (
    <section {...theme} className="carillon carillon-preferences" {...(isHeaded ? { "aria-labelledby": name } : {})}>
      {isHeaded && <h2 id={name}>{words.preferences}</h2>}
      {kept.value === null ? (
        <p className="carillon-empty" role="status">
          {kept.problem === null ? words.loading : reason(words, kept.problem)}
        </p>
      ) : (
        <>
          <Kinds now={kept.value} types={offered} channels={channels} change={change} />
          <Quiet now={kept.value} change={change} />
        </>
      )}
      {digest.value !== null && <DigestSettings value={digest.value} change={order} />}
      <Saving kept={isDigestLast ? digest : kept} />
    </section>
  );
}

type Change = (change: PreferencesChange) => Promise<boolean>;

function Saving({ kept }: { readonly kept: Omit<Kept<unknown, unknown>, "change"> }): ReactNode {
  const words = useWords();
  const failed = kept.problem !== null && kept.value !== null;
  return (
    <p role="status" className="carillon-saving" data-failed={failed}>
      {failed && kept.problem !== null ? reason(words, kept.problem) : kept.isSaving ? words.saving : kept.isSaved ? words.saved : ""}
    </p>
  );
}

interface KindsProps {
  readonly types: readonly { readonly type: string; readonly label: string }[];
  readonly channels: readonly Channel[];
  readonly now: Preferences;
  readonly change: Change;
}

function Kinds({ now, types, channels, change }: KindsProps): ReactNode {
  const words = useWords();
  const labels = new Map([...Object.keys(now.types), ...now.mandatoryTypes].map((type) => [type, typeLabel(words, type)]));
  for (const { type, label } of types) labels.set(type, label);
  const rows = [...labels].sort(([, one], [, other]) => one.localeCompare(other, words.tag));
  const caption = useId();
  return (
    <fieldset>
      <legend id={caption}>{words.kinds}</legend>
      <table aria-labelledby={caption}>
        <thead>
          <tr>
            <th scope="col">{words.kind}</th>
            {channels.map((channel) => (
              <th key={channel} scope="col">
                {words[channel]}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">{words.everything}</th>
            {channels.map((channel) => (
              <td key={channel}>
                <input
                  type="checkbox"
                  aria-label={`${words.everything}: ${words[channel]}`}
                  checked={now.channels[channel]}
                  onChange={({ target }) => void change({ channels: { [channel]: target.checked } })}
                />
              </td>
            ))}
          </tr>
          {rows.map(([type, label]) => {
            const isFixed = now.mandatoryTypes.includes(type);
            return (
              <tr key={type}>
                <th scope="row">
                  {label} {isFixed && <small>({words.always})</small>}
                </th>
                {channels.map((channel) => (
                  <td key={channel}>
                    <input
                      type="checkbox"
                      aria-label={`${label}: ${words[channel]}`}
                      checked={isFixed || (now.types[type]?.[channel] ?? true)}
                      disabled={isFixed}
                      onChange={({ target }) => void change({ types: { [type]: { [channel]: target.checked } } })}
                    />
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </fieldset>
  );
}

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
/** A Monday. */
const MONDAY = Date.UTC(2024, 0, 1);

function Quiet({ now, change }: { readonly now: Preferences; readonly change: Change }): ReactNode {
  const words = useWords();
  const help = useId();
  const quiet = now.quietHours ?? { enabled: false, start: "22:00", end: "07:00", days: [] };
  const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const weekday = new Intl.DateTimeFormat(words.tag, { weekday: "short", timeZone: "UTC" });
  // Whoever has never said where they are is where this browser is.
  const zone = now.quietHours === null && now.timeZone === "UTC" ? { timeZone: local } : {};
  return (
    <fieldset>
      <legend>{words.quietHours}</legend>
      <label className="carillon-check">
        <input
          type="checkbox"
          aria-describedby={help}
          checked={quiet.enabled}
          onChange={({ target }) => void change({ quietHours: { ...quiet, enabled: target.checked }, ...(target.checked && zone) })}
        />
        {words.quietHoursOn}
      </label>
      <p id={help}>{words.quietHoursHelp}</p>
      {quiet.enabled && (
        <>
          <div className="carillon-row">
            {(["start", "end"] as const).map((edge) => (
              <label key={edge}>
                {edge === "start" ? words.from : words.to}
                <input
                  type="time"
                  required
                  value={quiet[edge]}
                  onChange={({ target }) => {
                    if (target.value !== "") void change({ quietHours: { ...quiet, [edge]: target.value.slice(0, 5) } });
                  }}
                />
              </label>
            ))}
            <label>
              {words.timeZone}
              <select value={now.timeZone} onChange={({ target }) => void change({ timeZone: target.value })}>
                {zones(now.timeZone, local).map((one) => (
                  <option key={one}>{one}</option>
                ))}
              </select>
            </label>
          </div>
          <div role="group" aria-label={words.days} className="carillon-days">
            {DAYS.map((day, index) => {
              const isOn = quiet.days.length === 0 || quiet.days.includes(day);
              return (
                <label key={day} className="carillon-check">
                  <input
                    type="checkbox"
                    checked={isOn}
                    onChange={() => {
                      const all = quiet.days.length === 0 ? [...DAYS] : quiet.days;
                      const days = isOn ? all.filter((one) => one !== day) : [...all, day];
                      // No day at all would mean all of them: the last one stays.
                      if (days.length > 0) void change({ quietHours: { ...quiet, days: days.length === 7 ? [] : days } });
                    }}
                  />
                  {weekday.format(MONDAY + index * 86_400_000)}
                </label>
              );
            })}
          </div>
        </>
      )}
    </fieldset>
  );
}

function zones(...own: readonly string[]): readonly string[] {
  const known = typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [];
  return [...new Set([...own, "UTC", ...known])].sort();
}

const PRIORITIES: readonly Priority[] = ["low", "normal", "high", "urgent"];

const DIGEST_CHANNELS: readonly Channel[] = ["inApp", "email", "push"];

interface DigestProps {
  readonly value: Digest;
  readonly change: (digest: Digest) => Promise<boolean>;
}

function DigestSettings({ value, change }: DigestProps): ReactNode {
  const words = useWords();
  const set = (part: Partial<Digest>) => void change({ ...value, ...part });
  const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // Whoever has never said where they are is where this browser is.
  const zone = !value.timezoneIsOwn && value.timezone === "UTC" ? { timezone: local, timezoneIsOwn: true } : {};
  return (
    <fieldset>
      <legend>{words.digest}</legend>
      <label className="carillon-check">
        <input
          type="checkbox"
          checked={value.isEnabled}
          onChange={({ target }) => set({ isEnabled: target.checked, ...zone })}
        />
        {words.digestOn}
      </label>
      {value.isEnabled && (
        <div className="carillon-row">
          <label>
            {words.frequency}
            <select value={value.frequency} onChange={({ target }) => set({ frequency: target.value === "weekly" ? "weekly" : "daily" })}>
              <option value="daily">{words.daily}</option>
              <option value="weekly">{words.weekly}</option>
            </select>
          </label>
          {value.frequency === "weekly" && (
            <label>
              {words.day}
              <select value={value.dayOfWeek} onChange={({ target }) => set({ dayOfWeek: target.value })}>
                {DAYS.map((day, index) => (
                  <option key={day} value={day}>
                    {new Intl.DateTimeFormat(words.tag, { weekday: "long", timeZone: "UTC" }).format(MONDAY + index * 86_400_000)}
                  </option>
                ))}
              </select>
            </label>
          )}
          <label>
            {words.digestTime}
            <input type="time" required value={value.deliveryTime} onChange={({ target }) => target.value !== "" && set({ deliveryTime: target.value.slice(0, 5) })} />
          </label>
          <label>
            {words.timeZone}
            <select
              value={value.timezoneIsOwn ? value.timezone : ""}
              onChange={({ target }) => set({ timezone: target.value || value.timezone, timezoneIsOwn: target.value !== "" })}
            >
              <option value="">{words.sameTimeZone}</option>
              {zones(value.timezone, local).map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
          <label>
            {words.atLeast}
            <select value={value.minPriority} onChange={({ target }) => set({ minPriority: PRIORITIES.find((one) => one === target.value) ?? "low" })}>
              {PRIORITIES.map((one) => (
                <option key={one} value={one}>
                  {words[one]}
                </option>
              ))}
            </select>
          </label>
          <label className="carillon-check">
            <input type="checkbox" checked={value.excludeWeekends} onChange={({ target }) => set({ excludeWeekends: target.checked })} />
            {words.weekends}
          </label>
        </div>
      )}
      {value.isEnabled && value.channels.length > 0 && (
        <div role="group" aria-label={words.by} className="carillon-days">
          <span aria-hidden="true">{words.by}</span>
          {DIGEST_CHANNELS.map((channel) => {
            const isOn = value.channels.includes(channel);
            const channels = DIGEST_CHANNELS.filter((one) => (one === channel ? !isOn : value.channels.includes(one)));
            return (
              <label key={channel} className="carillon-check">
                <input type="checkbox" checked={isOn} onChange={() => channels.length > 0 && set({ channels })} />
                {words[channel]}
              </label>
            );
          })}
        </div>
      )}
    </fieldset>
  );
}
