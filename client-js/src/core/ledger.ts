// What is known of the inbox, without any input or output. Time is a count of what was heard: whatever an answer says of
// the time before it was asked for yields to what was heard since.

import type { Notification } from "./notification.js";
import { newestFirst } from "./notification.js";

/** Something the person did, until the server has taken it: it is shown as done, and undone if the server refuses. */
export interface Mark {
  readonly key: string;
  readonly kind: "read" | "unread" | "remove" | "readAll";
  /** Which one, by UUID; all, for `readAll`. */
  readonly id: string | null;
  /** For `readAll`: the time of the newest notification there was. */
  readonly upTo: string | null;
}

/** What a page of the server's list said. */
export interface Page {
  readonly notifications: readonly Notification[];
  /** Of the whole inbox; null if the page was of a part. */
  readonly unread: number | null;
}

/** What is shown: newest first, and how many are unread in the whole inbox. */
export interface View {
  readonly notifications: readonly Notification[];
  readonly unread: number;
}

interface Entry {
  readonly notification: Notification;
  readonly changed: number;
}

const LONGEST_SEEN = 5000;
/** How what was marked stands then. */
export const STANDING = { read: "read", readAll: "read", unread: "unread", remove: "removed" } as const;

export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #gone = new Set<string>();
  readonly #seen = new Set<string>();
  readonly #marks = new Map<string, Mark>();
  /** Keys of marks of which the server said otherwise while they were on their way: who was last is not known. */
  readonly #contested = new Set<string>();
  #unread = 0;
  #isCounted = false;
  #now = 0;
  #disputed = 0;
  #view: View | null = null;

  /** To be taken before a request, and handed in with its answer. */
  get now(): number {
    return this.#now;
  }

  /** Whether counts are not to be relied on since `then`: what was marked meanwhile may be in the answer, or not. */
  disputed(then: number): boolean {
    return this.#disputed > then || this.#marks.size > 0;
  }

  get marks(): readonly Mark[] {
    return [...this.#marks.values()];
  }

  known(id: string): Notification | null {
    return this.#entries.get(id)?.notification ?? null;
  }

  /** A notification came by a socket. False: it was here before, by whatever way. */
  arrived(notification: Notification): boolean {
    const { id } = notification;
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > LONGEST_SEEN) for (const oldest of this.#seen) { this.#seen.delete(oldest); break; }
    if (this.#gone.has(id)) return false;
    if (!this.#entries.has(id)) {
      this.#put(notification, this.#tick());
      if (!notification.isRead) this.#unread += 1;
    }
    return true;
  }

  /** Whether `standing` is another than the server's last word on it, as far as that is known here. A null `id` means all. */
  differs(id: string | null, standing: "read" | "unread" | "removed"): boolean {
    if (id === null) return this.#unread > 0;
    if (this.#gone.has(id)) return standing !== "removed";
    const notification = this.known(id);
    return notification === null || standing !== (notification.isRead ? "read" : "unread");
  }

  /** The server says how a notification stands; a null `id` means all there are. False: that was of one not known here. */
  stands(id: string | null, standing: "read" | "unread" | "removed"): boolean {
    this.#disputed = this.#tick();
    for (const mark of this.#marks.values()) {
      if ((id === null || mark.id === null || mark.id === id) && STANDING[mark.kind] !== standing) this.#contested.add(mark.key);
    }
    if (id === null) {
      for (const { notification } of [...this.#entries.values()]) this.#turn(notification, true);
      this.#unread = 0;
      return true;
    }
    const notification = this.known(id);
    if (standing === "removed") {
      this.#gone.add(id);
      if (notification === null) return false;
      this.#entries.delete(id);
      if (!notification.isRead) this.#count(-1);
      return true;
    }
    if (notification === null) return false;
    this.#turn(notification, standing === "read");
    return true;
  }

  /**
   * A page of the list, asked for at `then`. `reaches` tells of a notification whether the page would have had it: what it
   * should have and has not is gone.
   */
  listed(page: Page, then: number, reaches: (notification: Notification) => boolean): void {
    const on = new Set(page.notifications.map(({ id }) => id));
    let since = 0;
    for (const { notification, changed } of [...this.#entries.values()]) {
      if (on.has(notification.id)) continue;
      if (changed > then) since += notification.isRead ? 0 : 1;
      else if (reaches(notification)) this.#entries.delete(notification.id);
    }
    for (const notification of page.notifications) {
      if (this.#gone.has(notification.id) || (this.#entries.get(notification.id)?.changed ?? 0) > then) continue;
      this.#put(notification, then);
    }
    // A count in dispute is read again: until then the one that is shown is better.
    if (page.unread !== null && !(this.#isCounted && this.disputed(then))) {
      this.#unread = page.unread + since;
      this.#isCounted = true;
    }
    this.#view = null;
  }

  /** The person did something: it is shown at once. */
  marked(mark: Mark): void {
    this.#tick();
    this.#marks.set(mark.key, mark);
  }

  /** The server took it. False: what that means is not known, since the notification is not, or somebody else spoke, too. */
  taken(key: string): boolean {
    const mark = this.#marks.get(key);
    if (mark === undefined) return true;
    this.#marks.delete(key);
    const changes = new Draft(this.#entries, this.#unread);
    changes.apply(mark);
    this.#disputed = this.#tick();
    this.#unread = changes.unread;
    for (const [id, notification] of changes.changed) {
      if (notification === null) {
        this.#entries.delete(id);
        this.#gone.add(id);
      } else this.#put(notification, this.#now);
    }
    if (mark.kind === "remove" && mark.id !== null) this.#gone.add(mark.id);
    return !this.#contested.delete(key) && changes.changed.size > 0;
  }

  /** The server refused it: it is as it was. */
  undone(key: string): void {
    this.#disputed = this.#tick();
    this.#contested.delete(key);
    this.#marks.delete(key);
  }

  /** How many notifications are known. */
  get size(): number {
    return this.#entries.size;
  }

  /** Forgets what is older than `oldest`: it is on the server, if somebody wants it. */
  forget(oldest: Notification): void {
    for (const [id, { notification }] of [...this.#entries]) if (newestFirst(notification, oldest) > 0) this.#entries.delete(id);
    this.#view = null;
  }

  /** As it is shown: with what was marked, as if the server had taken it. */
  view(): View {
    if (this.#view === null) {
      const draft = new Draft(this.#entries, this.#unread);
      for (const mark of this.#marks.values()) draft.apply(mark);
      this.#view = { notifications: draft.notifications().sort(newestFirst), unread: draft.unread };
    }
    return this.#view;
  }

  #tick(): number {
    this.#view = null;
    this.#now += 1;
    return this.#now;
  }

  #put(notification: Notification, changed: number): void {
    this.#entries.set(notification.id, { notification, changed });
    this.#view = null;
  }

  #turn(notification: Notification, isRead: boolean): void {
    if (notification.isRead === isRead) return;
    this.#put({ ...notification, isRead }, this.#now);
    this.#count(isRead ? -1 : 1);
  }

  #count(by: number): void {
    this.#unread = Math.max(0, this.#unread + by);
  }
}

/** The entries with marks laid over them. */
class Draft {
  readonly changed = new Map<string, Notification | null>();

  constructor(
    private readonly entries: ReadonlyMap<string, Entry>,
    public unread: number,
  ) {}

  apply({ kind, id, upTo }: Mark): void {
    if (kind === "readAll") {
      let newer = 0;
      for (const notification of this.notifications()) {
        if (notification.isRead) continue;
        if (upTo !== null && notification.createdAt > upTo) newer += 1;
        else this.changed.set(notification.id, { ...notification, isRead: true });
      }
      this.unread = Math.min(this.unread, newer);
      return;
    }
    const notification = id === null ? null : this.#find(id);
    if (notification === null) return;
    const isRead = kind === "remove" ? true : kind === "read";
    if (notification.isRead !== isRead) this.unread = Math.max(0, this.unread + (isRead ? -1 : 1));
    this.changed.set(notification.id, kind === "remove" ? null : { ...notification, isRead });
  }

  notifications(): Notification[] {
    const all: Notification[] = [];
    for (const [id, { notification }] of this.entries) {
      const changed = this.changed.get(id);
      if (changed !== null) all.push(changed ?? notification);
    }
    return all;
  }

  #find(id: string): Notification | null {
    const changed = this.changed.get(id);
    return changed === undefined ? (this.entries.get(id)?.notification ?? null) : changed;
  }
}
