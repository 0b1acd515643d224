import type { Api } from "./api.js";
import { Cell, type Stop, type Store } from "./emitter.js";
import type { Ledger } from "./ledger.js";
import { type Filter, type Notification, fits, newestFirst } from "./notification.js";
import { Problem } from "./problem.js";

/** A list as it is shown. */
export interface ListSnapshot {
  /** Newest first, each once. */
  readonly notifications: readonly Notification[];
  /** Whether `loadMore` would bring more. */
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  /** Whether the server has answered at least once. */
  readonly isReady: boolean;
  /** Why the last page did not come; null if it did. */
  readonly problem: Problem | null;
}

/** Before anything is known, and on servers that render pages. */
export const EMPTY_LIST: ListSnapshot = { notifications: [], hasMore: false, isLoading: true, isReady: false, problem: null };

/** A list of the inbox, or of what fits a filter; it changes by itself with what happens. */
export interface NotificationList extends Store<ListSnapshot> {
  /** The next page. */
  readonly loadMore: () => Promise<void>;
  /** The first page, anew. */
  readonly refresh: () => Promise<void>;
}

/** What a list needs from outside. */
export interface ListNeeds {
  readonly api: Api;
  readonly ledger: Ledger;
  readonly pageSize: number;
  /** What is known is different now. */
  readonly changed: () => void;
  /** Something was marked while a page was read: it is to be read again. */
  readonly disputed: () => void;
}

const LARGEST_PAGE = 100;
/** How many pages are read again at once; what is below them has to be loaded again. */
const MOST_PAGES = 5;

export class List implements NotificationList {
  readonly #cell = new Cell<ListSnapshot>(EMPTY_LIST);
  readonly getSnapshot = this.#cell.getSnapshot;
  /** The oldest there is a page of; null: all are here. */
  #floor: Notification | null = null;
  #isReady = false;
  #problem: Problem | null = null;
  #asked: Promise<void> | null = null;
  #again = false;
  #watchers = 0;
  #isStale = false;

  constructor(
    private readonly needs: ListNeeds,
    private readonly filter: Filter,
  ) {}

  readonly subscribe = (listener: () => void): Stop => {
    const stop = this.#cell.subscribe(listener);
    this.#watchers += 1;
    if (this.#isStale) void this.refresh();
    let isWatching = true;
    return () => {
      stop();
      if (isWatching) this.#watchers -= 1;
      isWatching = false;
    };
  };

  /** Shows no more than `most`; the rest is loaded again if somebody wants it. */
  cut(most: number): void {
    this.#floor = this.#visible()[most - 1] ?? this.#floor;
  }

  /** Reads anew, now if somebody looks, and else when somebody does. */
  async renew(): Promise<void> {
    if (this.#watchers > 0 || this.#isWhole) return this.refresh();
    this.#isStale = true;
  }

  /** To be called when the ledger has changed. */
  show(): void {
    const next: ListSnapshot = {
      notifications: this.#visible(),
      hasMore: this.#floor !== null,
      isLoading: this.#asked !== null || (!this.#isReady && this.#problem === null),
      isReady: this.#isReady,
      problem: this.#problem,
    };
    if (!same(this.#cell.getSnapshot(), next)) this.#cell.set(next);
  }

  readonly refresh = async (): Promise<void> => {
    this.#isStale = false;
    if (this.#asked === null) return this.#ask(null);
    this.#again = true;
    await this.#asked;
  };

  readonly loadMore = async (): Promise<void> => {
    if (!this.#isReady) return this.refresh();
    // What is being read comes first, however often it is read again.
    while (this.#asked !== null) await this.#asked;
    if (this.#floor !== null) await this.#ask(this.#floor);
  };

  #ask(from: Notification | null): Promise<void> {
    this.#asked = this.#read(from).finally(() => {
      this.#asked = null;
      this.show();
      if (this.#again) {
        this.#again = false;
        void this.#ask(null);
      }
    });
    this.show();
    return this.#asked;
  }

  async #read(from: Notification | null): Promise<void> {
    const { ledger } = this.needs;
    const begun = ledger.now;
    try {
      this.#floor = from === null ? await this.#readAgain() : await this.#page(from, this.needs.pageSize);
      this.#isReady = true;
      this.#problem = null;
      if (this.#isWhole && ledger.disputed(begun)) this.needs.disputed();
    } catch (fault) {
      this.#problem = fault instanceof Problem ? fault : new Problem("fault", String(fault));
    }
    this.needs.changed();
  }

  /** As much as was here before, if that is not very much. */
  async #readAgain(): Promise<Notification | null> {
    const before = this.#isReady ? { floor: this.#floor } : null;
    const shown = before === null ? 0 : this.#visible().length;
    const size = Math.min(LARGEST_PAGE, Math.max(this.needs.pageSize, shown));
    let oldest = await this.#page(null, size);
    const isEnough = (floor: Notification | null) => floor !== null && oldest !== null && newestFirst(oldest, floor) >= 0;
    for (let pages = 1; before !== null && oldest !== null && !isEnough(before.floor) && pages < MOST_PAGES; pages += 1) {
      oldest = await this.#page(oldest, size);
    }
    return oldest;
  }

  /** Its oldest; null if nothing is below it. */
  async #page(from: Notification | null, limit: number): Promise<Notification | null> {
    const { api, ledger } = this.needs;
    const then = ledger.now;
    const page = await api.list({ ...this.filter, limit, ...(from !== null && { before: from.number }) });
    const oldest = page.next === null ? null : (page.notifications.at(-1) ?? null);
    // Of what came meanwhile only a first page tells whether it is counted: by having it.
    const unread = this.#isWhole && from === null ? page.unread : null;
    ledger.listed({ notifications: page.notifications, unread }, then, (one) => {
      const isBelow = from === null || newestFirst(one, from) > 0;
      // One that is missing among the unread may have been read: the whole inbox tells.
      return !this.filter.unreadOnly && fits(one, this.filter) && isBelow && (oldest === null || newestFirst(one, oldest) <= 0);
    });
    return oldest;
  }

  get #isWhole(): boolean {
    return Object.keys(this.filter).length === 0;
  }

  #visible(): Notification[] {
    const floor = this.#floor;
    return this.needs.ledger
      .view()
      .notifications.filter((one) => fits(one, this.filter) && (floor === null || newestFirst(one, floor) <= 0));
  }
}

function same(one: ListSnapshot, other: ListSnapshot): boolean {
  return (
    one.hasMore === other.hasMore &&
    one.isLoading === other.isLoading &&
    one.isReady === other.isReady &&
    one.problem === other.problem &&
    one.notifications.length === other.notifications.length &&
    one.notifications.every((notification, index) => notification === other.notifications[index])
  );
}
