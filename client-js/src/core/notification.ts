/** How much a notification matters. */
export type Priority = "low" | "normal" | "high" | "urgent";

/** One notification in the inbox of whoever is connected. Texts are texts: show them as such, never as HTML. */
export interface Notification {
  /** The UUID: the same on every door; a second copy is recognised by it. */
  readonly id: string;
  /** The number: the other name of the same notification. */
  readonly number: number;
  /** The sender's kind, such as `order_status`. */
  readonly type: string;
  readonly title: string;
  readonly message: string;
  /** What the sender added. */
  readonly data: Readonly<Record<string, unknown>>;
  /** The sender's category; null for none. */
  readonly topic: string | null;
  readonly priority: Priority;
  /** Where a click leads: http, https or a path; anything else was left out. */
  readonly actionUrl: string | null;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly isRead: boolean;
}

/** Which notifications a list shows. */
export interface Filter {
  readonly unreadOnly?: boolean;
  readonly type?: string;
  readonly topic?: string;
  readonly priority?: Priority;
}

/** Whether `notification` belongs to what `filter` shows. */
export function fits(notification: Notification, filter: Filter): boolean {
  return (
    !(filter.unreadOnly && notification.isRead) &&
    (filter.type === undefined || filter.type === notification.type) &&
    (filter.topic === undefined || filter.topic === notification.topic) &&
    (filter.priority === undefined || filter.priority === notification.priority)
  );
}

/** Newest first, as lists have it. All times come from one server, written alike: they compare as they are. */
export function newestFirst(one: Notification, other: Notification): number {
  if (one.createdAt === other.createdAt) return other.number - one.number;
  return one.createdAt > other.createdAt ? -1 : 1;
}
