import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import {
  type Client,
  type ClientEvents,
  type Connection,
  type Digest,
  EMPTY_LIST,
  type Filter,
  type KnownType,
  type ListSnapshot,
  type Preferences,
  type PreferencesChange,
  Problem,
} from "../index.js";
import { useClient, useStore } from "./context.js";

/** What somebody can do with their notifications. Each shows at once; see `Client`. */
export interface Actions {
  readonly read: (id: string) => Promise<boolean>;
  readonly unread: (id: string) => Promise<boolean>;
  readonly remove: (id: string) => Promise<boolean>;
  readonly readAll: () => Promise<boolean>;
}

export interface InboxHook extends ListSnapshot {
  readonly loadMore: () => Promise<void>;
  readonly refresh: () => Promise<void>;
}

/** The inbox, or what of it fits `filter`, page by page. */
export function useInbox({ unreadOnly, type, topic, priority }: Filter = {}): InboxHook {
  const client = useClient();
  const choose = useCallback(
    (from: Client) =>
      from.list({
        ...(unreadOnly !== undefined && { unreadOnly }),
        ...(type !== undefined && { type }),
        ...(topic !== undefined && { topic }),
        ...(priority !== undefined && { priority }),
      }),
    [unreadOnly, type, topic, priority],
  );
  const snapshot = useStore<ListSnapshot>(choose, EMPTY_LIST);
  const list = client === null ? null : choose(client);
  return useMemo(
    () => ({
      ...snapshot,
      loadMore: async () => list?.loadMore(),
      refresh: async () => list?.refresh(),
    }),
    [snapshot, list],
  );
}

const unreadOf = (client: Client) => client.unreadCount;
const connectionOf = (client: Client) => client.connection;
const UNCONNECTED: Connection = { status: "connecting", socket: "own", detail: null, failures: 0 };

/** How many are unread; null until the server has said so. */
export function useUnreadCount(): number | null {
  return useStore<number | null>(unreadOf, null);
}

export function useConnection(): Connection {
  return useStore<Connection>(connectionOf, UNCONNECTED);
}

export function useActions(): Actions {
  const client = useClient();
  return useMemo(
    () => ({
      read: async (id) => client?.read(id) ?? false,
      unread: async (id) => client?.unread(id) ?? false,
      remove: async (id) => client?.remove(id) ?? false,
      readAll: async () => client?.readAll() ?? false,
    }),
    [client],
  );
}

/** Calls `listener` for each event of that name, as long as the component is there. */
export function useNotificationEvent<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): void {
  const client = useClient();
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => client?.on(name, (value) => latest.current(value)), [client, name]);
}

/** Something that the server keeps and the person can change. */
export interface Kept<Value, Change> {
  /** Null until it was read. */
  readonly value: Value | null;
  readonly isSaving: boolean;
  /** Whether the last change is kept by the server. */
  readonly isSaved: boolean;
  /** Why reading or the last change failed; what was changed is shown as before. */
  readonly problem: Problem | null;
  /** Shown at once. */
  readonly change: (change: Change) => Promise<boolean>;
}

interface KeptState<Value> {
  readonly value: Value | null;
  readonly saving: number;
  readonly isSaved: boolean;
  readonly problem: Problem | null;
}

function useKept<Value, Change>(
  read: (client: Client) => Promise<Value>,
  write: (client: Client, change: Change) => Promise<Value>,
  expect: (value: Value, change: Change) => Value,
): Kept<Value, Change> {
  const client = useClient();
  const [state, setState] = useState<KeptState<Value>>({ value: null, saving: 0, isSaved: false, problem: null });
  const queue = useRef<Promise<unknown>>(Promise.resolve());
  useEffect(() => {
    if (client === null) return;
    let isHere = true;
    setState({ value: null, saving: 0, isSaved: false, problem: null });
    read(client).then(
      (value) => isHere && setState((now) => ({ ...now, value: now.value ?? value })),
      (fault: unknown) => isHere && setState((now) => ({ ...now, problem: problemOf(fault) })),
    );
    return () => {
      isHere = false;
    };
  }, [client, read]);
  // What could not be read is read once the connection is back.
  const isMissing = state.value === null && (state.problem?.passes ?? false);
  const isOpen = useConnection().status === "open";
  useEffect(() => {
    if (client === null || !isMissing || !isOpen) return;
    let isHere = true;
    read(client).then(
      (value) => isHere && setState((now) => ({ ...now, value: now.value ?? value, problem: null })),
      () => {},
    );
    return () => {
      isHere = false;
    };
  }, [client, read, isMissing, isOpen]);
  const change = useCallback(
    async (wanted: Change): Promise<boolean> => {
      if (client === null) return false;
      setState((now) => ({
        value: now.value === null ? null : expect(now.value, wanted),
        saving: now.saving + 1,
        isSaved: false,
        problem: null,
      }));
      // One after the other: the last one said is the one that counts.
      const written = queue.current.then(() => write(client, wanted));
      queue.current = written.catch(() => {});
      try {
        const value = await written;
        setState((now) => ({ value: now.saving > 1 ? now.value : value, saving: now.saving - 1, isSaved: true, problem: null }));
        return true;
      } catch (fault) {
        const before = await read(client).catch(() => null);
        setState((now) => ({ value: before ?? now.value, saving: now.saving - 1, isSaved: false, problem: problemOf(fault) }));
        return false;
      }
    },
    [client, read, write, expect],
  );
  return useMemo(
    () => ({ value: state.value, isSaving: state.saving > 0, isSaved: state.isSaved, problem: state.problem, change }),
    [state, change],
  );
}

const problemOf = (fault: unknown): Problem => (fault instanceof Problem ? fault : new Problem("fault", String(fault)));

const readPreferences = (client: Client) => client.api.preferences();
const writePreferences = (client: Client, change: PreferencesChange) => client.api.setPreferences(change);
const ALL_ON = { inApp: true, email: true, push: true, sms: true };

function changed(now: Preferences, change: PreferencesChange): Preferences {
  const rules = (before: Preferences["types"], after: PreferencesChange["types"]) => {
    const all = { ...before };
    for (const [name, switches] of Object.entries(after ?? {})) all[name] = { ...ALL_ON, ...all[name], ...switches };
    return all;
  };
  const quiet = { enabled: true, start: "22:00", end: "07:00", days: [], ...now.quietHours };
  return {
    ...now,
    channels: { ...now.channels, ...change.channels },
    types: rules(now.types, change.types),
    topics: rules(now.topics, change.topics),
    quietHours: change.quietHours === undefined ? now.quietHours : change.quietHours && { ...quiet, ...change.quietHours },
    timeZone: change.timeZone ?? now.timeZone,
  };
}

/** What the person wants to hear. */
export function usePreferences(): Kept<Preferences, PreferencesChange> {
  return useKept(readPreferences, writePreferences, changed);
}

/** The kinds that a page of preferences may offer; null until the server has said, or if they are not wanted. */
export function useTypes(isWanted = true): readonly KnownType[] | null {
  const client = useClient();
  const [types, setTypes] = useState<readonly KnownType[] | null>(null);
  useEffect(() => {
    if (client === null || !isWanted) return;
    let isHere = true;
    client.api.types().then(
      (known) => isHere && setTypes(known),
      // Kinds with a rule are shown all the same.
      () => {},
    );
    return () => {
      isHere = false;
    };
  }, [client, isWanted]);
  return types;
}

const NO_DIGEST: Digest = {
  isEnabled: false,
  deliveryTime: "07:00",
  timezone: "UTC",
  timezoneIsOwn: false,
  frequency: "daily",
  dayOfWeek: "mon",
  includeTypes: [],
  excludeWeekends: false,
  minPriority: "low",
  channels: [],
};
const readDigest = async (client: Client) => (await client.api.digest()) ?? NO_DIGEST;
const writeDigest = (client: Client, digest: Digest) => client.api.setDigest(digest);
const lastSaid = (_: Digest, digest: Digest) => digest;

/** The digest. `problem.code` is `no_such_route` on a server that makes none. */
export function useDigest(): Kept<Digest, Digest> {
  return useKept(readDigest, writeDigest, lastSaid);
}
